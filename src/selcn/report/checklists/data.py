"""What a run knows of its data, in sentences and tables of Markdown, for checklists of reporting."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from selcn.data.appearance import ITA
from selcn.data.sources import licence_of
from selcn.data.splits.split import EXCLUDED, leaking_images
from selcn.labels import TEST, Protocol
from selcn.labels.metadata import NEVER, is_missing
from selcn.report.wording import group_word
from selcn.runs.facts import SKIN_LABELS
from selcn.runs.provenance import annotator_lines
from selcn.runs.run import Run

TRAINING = "folds"
"""The folds together, on which networks are trained and validated."""
DESCRIBED = ("age", "sex", "site")
MAX_WORDS = 8


def table_lines(table: pd.DataFrame, corner: str) -> list[str]:
    """A data frame as a Markdown table, its index as the first column.

    Args:
        table: of at least one column.
        corner: heading of the first column.
    """
    head = f"| {corner} | {' | '.join(map(str, table.columns))} |"
    rows = [f"| {name} | {' | '.join(map(str, row))} |" for name, *row in table.itertuples()]
    return [head, "| --- " * (table.shape[1] + 1) + "|", *rows]


def subsets(run: Run) -> dict[str, pd.DataFrame]:
    """Catalog rows of the folds together and of the test subset, where there is one.

    Args:
        run: with a split.
    """
    found = {TRAINING: run.table.iloc[np.sort(np.concatenate(run.fold_rows))]}
    return found | ({TEST: run.table.iloc[run.test_rows]} if len(run.test_rows) else {})


def unit(run: Run) -> str:
    """What the split keeps whole, such as `lesions`; `groups` where only near-duplicates are known to belong together.

    Args:
        run: with a split.
    """
    word = group_word(run.split.group.values())
    return "groups" if word == "images" else word


def _sources(run: Run) -> list[str]:
    counted = run.table.assign(group=run.table["image_id"].map(run.split.group)).groupby("source")
    return [
        f"{name or 'source not named'}: {len(rows):,} images of {rows['group'].nunique():,} {unit(run)}; "
        f"{licence_of(name) if name else 'licence unknown'}."
        for name, rows in ((str(source), rows) for source, rows in counted)
    ]


def _licences(run: Run) -> list[str]:
    return [f"{name}: {licence_of(str(name))}." for name in sorted(run.table["source"].unique()) if name]


def _eligibility(run: Run) -> list[str]:
    excluded = sum(part == EXCLUDED for part in run.split.part.values())
    lines = [f"The catalog holds {len(run.table):,} images of {len(set(run.split.group.values())):,} {unit(run)}."]
    if excluded:
        lines.append(f"{excluded:,} images were excluded, since they share a group with the external test subset.")
    for name in run.graph.nodes:
        without = int((~run.labelled(name)).sum())
        if without:
            what = "mask" if name == run.graph.segmenter else f"class of {name}"
            lines.append(f"{without:,} images have no {what}: {name} is neither trained nor scored with them.")
    return lines


def _region(run: Run) -> list[str]:
    masked = {name: one.masking for name, one in run.graph.classifiers.items() if one.masking != "none"}
    return [
        f"{name} sees the image under the masking `{masking}`, by the predicted outline of the lesion."
        for name, masking in masked.items()
    ] or ["Every classifier sees the whole image."]


def _preparation(run: Run) -> list[str]:
    width, height = run.config.prepare.size
    return [
        "Images are decoded to 8-bit RGB (turned upright by EXIF, colour profiles to sRGB), "
        f"{'hair is removed (black-hat, threshold, inpainting), ' if run.config.prepare.hair else ''}"
        f"and resized to {width} x {height} pixels. Each network normalises them by the mean and deviation of its "
        "backbone."
    ]


def _hair(run: Run) -> list[str]:
    done = "was removed from every image" if run.config.prepare.hair else "was not removed"
    return [f"Hair {done}; other artefacts were left as they are."]


def _quality(run: Run) -> list[str]:
    leaking = sum(leaking_images(run.split, run.table).values())
    return [
        f"{len(run.split.duplicates)} pairs of near-duplicates (perceptual hash, verified by the correlation of fine "
        f"detail) were kept in one subset. {leaking} images share a {unit(run)[:-1]} with another subset."
    ]


def _outcome(run: Run) -> list[str]:
    lines = []
    for name, section in run.graph.classifiers.items():
        labels = section.labels
        long = {one: labels.long_name(one) for one in labels.names}
        words = [one if long[one] == one else f"{one} ({long[one]})" for one in labels.names]
        malignant = f"; malignant: {', '.join(labels.malignant)}" if labels.malignant else ""
        lines.append(f"{name}: {', '.join(words)}, from the catalog's column `{labels.column}`{malignant}.")
    return lines


def _confirmation(run: Run) -> list[str]:
    return [line + "." for line in annotator_lines(run.table[[name for name in run.table if name in NEVER]])]


def _annotators(run: Run) -> list[str]:
    return [line + "." for line in annotator_lines(run.table)]


def _sample(run: Run) -> list[str]:
    rows = {}
    labels = run.labels(run.graph.target) if run.graph.target in run.graph.classifiers else None
    for name, table in subsets(run).items():
        counts = {"images": len(table), unit(run): table["image_id"].map(run.split.group).nunique()}
        if labels is not None and labels.column in table:
            classes = table[labels.column].map(labels.class_of)
            counts |= {one: int((classes == one).sum()) for one in labels.names}
        rows[name] = counts
    return table_lines(pd.DataFrame(rows).T, "subset")


def _missing(run: Run) -> list[str]:
    empty = {
        name: int(run.table[name].map(is_missing).sum())
        for name in ("mask_path", "diagnosis", "symmetry", *DESCRIBED)
        if name in run.table
    }
    counted = ", ".join(f"{name.removesuffix('_path')} {count:,}" for name, count in empty.items())
    lines = [f"Images without, of {len(run.table):,}: {counted}. Nothing is imputed."]
    if any(section.metadata for section in run.graph.classifiers.values()):
        lines.append("A network that reads metadata is told which are missing, and was trained with some left out.")
    return lines


def _partitions(run: Run) -> list[str]:
    split = run.split
    how = {
        Protocol.GROUPED: f"by {unit(run)[:-1]}, stratified by class",
        Protocol.EXTERNAL: f"by {unit(run)[:-1]}, whole sources being the test subset",
        Protocol.THESIS: "by image, so that lesions leak into the test subset",
    }
    sizes = [f"{len(table):,} images in {name}" for name, table in subsets(run).items()]
    return [
        f"The images were divided {how[split.protocol]} (seed {split.seed}): {' and '.join(sizes)}. There are "
        f"{split.folds} folds; each member is trained without one of them and predicts it. Fingerprint of the split: "
        f"`{split.fingerprint[:12]}`."
    ]


def _disjoint(run: Run) -> list[str]:
    if run.split.protocol is Protocol.THESIS:
        return ["Subsets are disjoint by image alone."]
    return [
        f"Subsets are disjoint by {unit(run)[:-1]}: patient, else lesion, else image, near-duplicates joined to them."
    ]


def _fingerprint(run: Run) -> list[str]:
    return [f"Hash of the catalog: `{run.split.catalog[:12]}`; of the split: `{run.split.fingerprint[:12]}`."]


def _external(run: Run) -> list[str]:
    if run.split.protocol is not Protocol.EXTERNAL:
        return ["The run holds no external test subset."]
    tested = ", ".join(sorted(run.table.iloc[run.test_rows]["source"].unique()))
    return [f"The test subset is external: {tested}, no image of which was trained on."]


def _demographics(run: Run) -> list[str]:
    known = [name for name in DESCRIBED if name in run.table and not run.table[name].map(is_missing).all()]
    if not known:
        return []
    rows = {subset: {name: _described(table[name], name) for name in known} for subset, table in subsets(run).items()}
    return table_lines(pd.DataFrame(rows).T, "subset")


def _described(column: "pd.Series[str]", name: str) -> str:
    """A column in words: median and quartiles of ages, else the most frequent words; and how many are known."""
    values = column[~column.map(is_missing)]
    known = f"known of {len(values):,} of {len(column):,}"
    if name == "age":
        ages = pd.to_numeric(values, errors="coerce").dropna()
        if len(ages):
            low, middle, high = np.percentile(ages, (25, 50, 75))
            return f"median {middle:.0f} (quartiles {low:.0f} and {high:.0f}), {known}"
    counts = values.value_counts()
    named = ", ".join(f"{word} {count:,}" for word, count in counts.head(MAX_WORDS).items())
    return f"{named}{', others' * (len(counts) > MAX_WORDS)}; {known}"


def _skin_tone(run: Run) -> list[str]:
    there = [name for name in map(str, run.table) if name.lower() in (*SKIN_LABELS, ITA)]
    if not there:
        return ["The catalog holds no skin tone."]
    return [f"Column `{name}`: {_described(run.table[name], name)}." for name in there]


def _synthetic(run: Run) -> list[str]:
    drawn = int((run.table["source"] == "phantom").sum())
    if not drawn:
        return [
            "No image of the catalog's sources is known to be synthetic; augmented copies are made in training alone."
        ]
    return [f"{drawn:,} images are synthetic, drawn by `selcn phantom`, which draws the same ones for everybody."]


DATA_FACTS: Mapping[str, Callable[[Run], list[str]]] = {
    "sources": _sources,
    "licences": _licences,
    "eligibility": _eligibility,
    "region": _region,
    "preparation": _preparation,
    "hair": _hair,
    "quality": _quality,
    "outcome": _outcome,
    "confirmation": _confirmation,
    "annotators": _annotators,
    "sample": _sample,
    "missing": _missing,
    "partitions": _partitions,
    "disjoint": _disjoint,
    "fingerprint": _fingerprint,
    "external": _external,
    "demographics": _demographics,
    "skin_tone": _skin_tone,
    "synthetic": _synthetic,
}
"""What is known of the data, by the name that items of checklists call it; no line where the run does not know."""
