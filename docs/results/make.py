"""Writes docs/results.md from the files beside this script, so that no figure is typed by hand.

python docs/results/make.py            # write
python docs/results/make.py RUN NAME   # first copy a finished run's figures to docs/results/NAME, pair after pair;
                                       # of a grid (a NAME with `grid` in it) its table alone, of what
                                       # `selcn saliency-eval` wrote its summary and its subgroups
"""

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from selcn.config import load_config
from selcn.evaluation import Estimate, verdict
from selcn.runs.metrics import grid_table

HERE = Path(__file__).parent
PAGE = HERE.parent / "results.md"
METRICS = [
    "balanced_accuracy",
    "kappa",
    "macro_f1",
    "accuracy",
    "macro_auc",
    "sensitivity_mel",
    "sensitivity_asymmetric",
]

SCORES = {
    "iou": "IoU",
    "overlap": "overlap",
    "pointing": "pointing",
    "energy": "energy",
    "iou_auc": "IoU, all thresholds",
    "rank_correlation": "rank correlation",
    "deletion": "deletion",
    "insertion": "insertion",
}
DIFFERENCE = {"value": "", "low": "_low", "high": "_high"}
MASK_METRICS = [
    "dice",
    "jaccard",
    "thresholded_jaccard",
    "boundary_f1",
    "hausdorff95",
    "sensitivity",
    "specificity",
]


def copy_run(run: Path, name: str) -> None:
    """Keep of a finished run what its figures are written from: no picture and no label of a single image."""
    out = HERE / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if (run / "summary.csv").is_file():
        for path in [run / "summary.csv", run / "subgroups.csv"]:
            shutil.copyfile(path, out / path.name)
        return
    figures = [] if "grid" in name else sorted((run / "evaluation").glob("*.csv"))
    for path in [run / "config.yaml", run / "environment.json", *figures]:
        shutil.copyfile(path, out / path.name)
    if "grid" in name:
        variants = load_config(run / "config.yaml").classification.variants
        grid_table(run / "evaluation", variants).to_csv(out / "grid.csv", index=False)
    counts = json.loads((run / "split" / "split.json").read_text())["counts"]
    pd.DataFrame(counts).T.fillna(0).astype(int).rename_axis("part").to_csv(out / "split.csv")
    steps = {
        str(path.parent.relative_to(run)): json.loads(path.read_text())["seconds"]
        for path in run.rglob("step.json")
        if ".work" not in path.parts
    }
    pd.Series(steps, name="seconds").rename_axis("step").sort_index().to_csv(out / "seconds.csv")


def page() -> str:
    """The whole page."""
    return (
        "\n\n".join(
            [
                INTRODUCTION,
                *_run("ham10000-small", REAL),
                *_run("demo", DEMO),
                *_saliency(),
                *_grid("phantom-grid"),
                *_benchmarks(),
                LOG,
            ]
        )
        + "\n"
    )


def _run(name: str, text: str) -> list[str]:
    folder = HERE / name
    config = load_config(folder / "config.yaml")
    seconds = pd.read_csv(folder / "seconds.csv")["seconds"].sum()
    split = pd.read_csv(folder / "split.csv").fillna(0)
    variants = [variant.name for variant in config.classification.variants]
    symmetries = [f"symmetry-{masking}" for masking in config.cam_masks]
    return [
        text.format(
            images=split["images"].sum(), lesions=split["groups"].sum(), minutes=seconds / 60, folds=config.split.folds
        ),
        _markdown(split),
        "**Lesion classifiers**\n\n" + _figures(folder, variants),
        "**Symmetry**\n\n" + _figures(folder, symmetries),
        "**Segmentation**, scored at the store's size\n\n" + _figures(folder, ["segmentation"], MASK_METRICS),
        "**SE-LCN against standalone**, paired, the same resampled lesions for both\n\n" + _differences(folder),
    ]


def _saliency() -> list[str]:
    real = [
        f"**HAM10000, {head}, against the lesion's mask**\n\n" + _scored(f"saliency/ham10000-small-{head}", "lesion")
        for head in ("symmetry", "diagnosis")
    ]
    found = [
        f"**Phantom, symmetry under masking `{mask}`, against the place of asymmetry** (images that have one)\n\n"
        + _scored(f"saliency/phantom-{mask}", "asymmetry")
        + "\n\n"
        + _found(f"saliency/phantom-{mask}")
        for mask in ("none", "lae")
    ]
    return [SALIENCY, *real, PHANTOM, *found]


def _scored(name: str, against: str) -> str:
    """A row a kind of saliency on the test part, with the number of images that curves were measured of."""
    table = pd.read_csv(HERE / name / "summary.csv")
    table = table[(table["against"] == against) & (table["fold_part"] == "test")]
    table = table[~table["saliency"].str.startswith("network - ")]
    rows = []
    for kind, figures in table.groupby("saliency", sort=False):
        known = {str(row["metric"]): row for row in figures.to_dict("records")}
        cells = {SCORES[name]: _interval(known[name]) if name in known else "" for name in SCORES}
        rows.append({"": kind, "images": int(figures["images"].max()), **cells})
    wide = pd.DataFrame(rows)
    return _markdown(wide.loc[:, (wide != "").any()])


def _found(name: str) -> str:
    """Whether the network's maps lie on the asymmetry more than others do, in words."""
    table = pd.read_csv(HERE / name / "summary.csv")
    table = table[(table["against"] == "asymmetry") & (table["fold_part"] == "test")]
    told = {
        "pointing": "The map's maximum falls on the asymmetry",
        "energy": "Of its energy there lies on the asymmetry",
    }
    sentences = []
    for metric, begin in told.items():
        said = []
        for other in ("chance", "random weights", "centred Gaussian", "lesion mask"):
            chosen = table[(table["saliency"] == f"network - {other}") & (table["metric"] == metric)]
            row = chosen.iloc[0].to_dict()
            which = "more" if row["low"] > 0 else "less" if row["high"] < 0 else "neither more nor less"
            said.append(f"{which} than with {other} ({_interval(row, signed=True)})")
        sentences.append(f"{begin} {'; '.join(said)}.")
    return " ".join(sentences)


def _grid(name: str) -> list[str]:
    folder = HERE / name
    config, split = load_config(folder / "config.yaml"), pd.read_csv(folder / "split.csv")
    seconds = pd.read_csv(folder / "seconds.csv")["seconds"].sum()
    rows = []
    for row in pd.read_csv(folder / "grid.csv").to_dict("records"):
        difference = {key: row[f"difference{ending}"] for key, ending in DIFFERENCE.items()}
        said = "" if pd.isna(row["difference"]) else _interval(difference, signed=True)
        p = "" if pd.isna(row["p"]) else f"{row['p']:.3f}"
        corrected = "" if pd.isna(row["p_holm"]) else f"{row['p_holm']:.3f}"
        own = _interval({"value": row["balanced_accuracy"], **row})
        rows.append(
            {"": row["variant"], "balanced accuracy": own, "minus standalone": said, "p": p, "p, Holm": corrected}
        )
    text = GRID.format(
        images=split["images"].sum(),
        variants=len(rows),
        folds=config.split.folds,
        hours=seconds / 3600,
        test=split.loc[split["part"] == "test", "images"].sum(),
    )
    return [text, _markdown(pd.DataFrame(rows))]


def _figures(folder: Path, names: list[str], wanted: list[str] = METRICS) -> str:
    rows = []
    for name in names:
        table = pd.read_csv(folder / f"{name}.csv")
        for part, figures in table.groupby("fold_part"):
            known = {str(row["metric"]): row for row in figures.to_dict("records")}
            cells = {metric.replace("_", " "): _interval(known[metric]) for metric in wanted if metric in known}
            rows.append({"": name, "part": part, "images": int(figures["images"].iloc[0]), **cells})
    return _markdown(pd.DataFrame(rows))


def _differences(folder: Path) -> str:
    table = pd.read_csv(folder / "comparison.csv")
    shown = table[table["metric"].isin(METRICS)]
    rows = shown.assign(difference=[_interval(row, signed=True) for row in shown.to_dict("records")])
    rows["metric"] = rows["metric"].str.replace("_", " ")
    wide = rows.pivot_table(index=["b", "a", "fold_part"], columns="metric", values="difference", aggfunc="first")
    wide = wide[[m.replace("_", " ") for m in METRICS if m.replace("_", " ") in wide.columns]].reset_index()
    test = table[(table["metric"] == "balanced_accuracy") & (table["fold_part"] == "test")]
    words = [_in_words(row) for row in test.to_dict("records")]
    return _markdown(wide.rename(columns={"b": "", "a": "minus", "fold_part": "part"})) + "\n\n" + " ".join(words)


def _in_words(row: Mapping[Any, Any]) -> str:
    estimate = Estimate(row["value"], row["low"], row["high"])
    return f"On the test part, {verdict(estimate, 'balanced_accuracy', str(row['a']), str(row['b']))}."


def _benchmarks() -> list[str]:
    path = HERE / "benchmarks.json"
    figures = pd.DataFrame(json.loads(path.read_text()))
    tables = [
        f"**{title}**\n\n{_markdown(rows[['figure', 'value']])}"
        for title, rows in figures.groupby("benchmark", sort=False)
    ]
    return [BENCHMARKS, *tables]


def _interval(row: Mapping[Any, Any], *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{row['value']:{sign}.3f} ({row['low']:{sign}.3f} to {row['high']:{sign}.3f})"


def _markdown(table: pd.DataFrame) -> str:
    rows = [list(map(str, table.columns)), ["---"] * len(table.columns), *table.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


INTRODUCTION = """# Results

Every figure on this page is written by `python docs/results/make.py` from the files in `docs/results/`, which are the
configuration, the split's counts, the evaluation tables and the seconds of finished runs. Intervals are 95 %, from a
bootstrap that resamples lesions; they hold the networks fixed and so do not contain the variance of training anew.
*Test* is the held-out part, predicted by all members together; *validation* is each fold by the member that did not
train on it, slightly optimistic since early stopping looked at it."""

REAL = """## HAM10000, about 1,000 lesions

    selcn run configs/ham10000-small.yaml

{images} images of {lesions} lesions at 200x150 pixels, drawn evenly over the diagnoses (rare ones whole, lesions with a
SymDerm v2 symmetry label first), {folds} folds and a test part. SqueezeNet 1.1 with ImageNet weights for symmetry and
diagnosis, a small U-Net from scratch for segmentation. {minutes:.0f} minutes of work on two CPU cores.

**What the difference does not show.** SE-LCN differs from its standalone twin by the saliency *and* by the E-layer,
whose batch norm a SqueezeNet otherwise lacks. Without controls that feed the same layer zero or shuffled saliency, no
part of the gain can be credited to symmetry.

These are figures of a small study with a light network, to find faults with; they are not comparable with published
ones on all of HAM10000, whose class mix differs."""

DEMO = """## The demo (synthetic)

    make demo

{images} **synthetic** images of {lesions} lesions, {folds} folds, everything from scratch: {minutes:.1f} minutes on two
CPU cores. It shows that every part works, and says nothing about real skin."""

SALIENCY = """## What saliency is worth

    selcn saliency-eval RUN --head symmetry --curves 100 --by diagnosis --by symmetry --by lesion_share

Grad-CAM++ of the predicted class, test part, at 224x224. *IoU*, *overlap* and *pointing* are the thesis' scores (map
above 0.5, mask dilated by a square of 5 % of the width twice; pointing on the plain mask); *energy* is the share of
the map on the plain mask, *IoU, all thresholds* the area under the IoU curve; *rank correlation* is with the trained
network's map; *deletion* (less is better) and *insertion* (more is better) are areas under the probability of 100
images as the most salient pixels go, or come, first. **Chance** is the same map shuffled, so that only the mask's
share counts; the **centred Gaussian** never sees the image; the **lesion mask** is what segmentation alone says;
**random weights** are the same network's before training (Adebayo et al. 2018). More, with paired differences and by
diagnosis, symmetry and lesion size, is in `docs/results/saliency/`.

Three things to see here. The maps depend on what was learned: their rank correlation with those of random weights is
far from 1. They lie on lesions more than chance would have it. But a bell in the middle of the picture, which has never
seen it, lies on lesions as well or better, and for the diagnosis so does the energy of random weights: dermoscopists
centre what they photograph, and scores against lesion masks, such as the thesis reports, hardly tell a good map from a
centred one."""

PHANTOM = """### Does symmetry saliency find the asymmetry?

    selcn train symmetry --config configs/phantom-symmetry.yaml --out runs/phantom-symmetry
    selcn saliency-eval runs/phantom-symmetry --head symmetry --mask none --curves 100

No public data say *where* a lesion is asymmetric; the **synthetic** phantom does. 2,000 images, 3 folds, SqueezeNet 1.1
with ImageNet weights. The lesion mask stands for a map that knows where the lesion is and nothing of its symmetry: all
its points are equally salient. In part, it does: its maximum falls there far more often than chance or random weights
have it, and without masking more often than the lesion alone would. But most of what it marks lies elsewhere, in a grid
of 11x8 whose cells reach beyond the lesion."""

GRID = """## The grid of variants (synthetic)

    selcn grid demo --attention --controls

{variants} lesion classifiers on {images} **synthetic** images ({test} in the test part), {folds} folds, everything from
scratch; {hours:.1f} hours of work on two CPU cores that did other things too. Test part, intervals by lesion,
differences paired with the standalone of the same masking; p by permutation of lesions, corrected for all differences
(Holm).

This is what controls are for: behind `lae` masking the classifiers that read saliency lie above their standalone, but
so do those that read another lesion's saliency or noise. Most of that gain belongs to the E-layer, not to symmetry,
and none of it survives the correction."""

BENCHMARKS = """## Benchmarks

`python benchmarks/record.py`, on two CPU cores without a GPU. Times are of a shared machine; ratios hold better."""

LOG = """## What did not work
- **Choosing the symmetry epoch by validation loss** on some 400 training images: the loss was lowest at an early epoch
  whose balanced accuracy lay below that of later ones. `configs/ham10000-small.yaml` monitors the score and weights the
  loss.
- **Dealing lesions only by what each stratum lacks** left a small test part without rare diagnoses. A part that has
  none of a class now comes first.
- **Seeding dropout by epoch**: a resumed training drew other numbers than an unbroken one, since making a data loader
  draws from the same generator. Each step is seeded now, and a test compares the weights.
- **SqueezeNet 1.1 and LCNet from scratch** stayed at chance for symmetry in the demo's few minutes on some 300
  synthetic images. The demo uses a ResNet-10-T; its saliency is a grid of 3x3, coarse beside the 11x8 of SqueezeNet on
  HAM10000.
- **Sensitivity for melanoma** did not rise with the E-layer on HAM10000, though balanced accuracy did (table above).
- **Classifiers in 8 bits** changed the diagnosis of more than one image in a hundred, whichever way they were
  calibrated, and were no faster on a CPU. `selcn export --int8` quantises the segmenters alone."""

if __name__ == "__main__":
    for run, name in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        copy_run(Path(run), name)
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
