"""What docs/results.md and README.md say of the bundle that ships: from `scores.csv` of `docs/results/score.py`."""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd

from arms import answer, arms_sections
from exchanged import exchange_section
from failures import failure_sections
from leaking import leaking_section
from peer_section import peer_sections
from reading import reading_section
from recalibrated import calibration_section, sets_section
from tables import between, interval, markdown, metric_table, stored
from transfer import transfer_sections
from with_metadata import metadata_section

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
CARD = HERE.parents[1] / "bundles" / "ham10000" / "README.md"
RUN, OUTLINES = HERE / "ham10000", HERE / "ham10000-metadata"
"""The run whose networks ship, and that of which the bundle has the lesion network."""
SCORES = HERE / "ham10000-bundle" / "scores.csv"
TESTED = SCORES.parent / "test-diagnosis.parquet"
ANSWER, ANSWERED = "<!-- transfer: written by docs/results/make.py -->", "<!-- end of transfer -->"
BEFORE = ("with the outlines before", HERE / "ham10000-before.csv")
"""Scores of the bundle that shipped before, whose lesion network was another."""
BEGIN, END = "<!-- headlines: written by docs/results/make.py -->", "<!-- end of headlines -->"
SETS = {
    "test": "HAM10000, held-out lesions",
    "ph2": "PH2, never trained on",
    "isic2017": "ISIC 2017, never trained on, squeezed to squares",
}
HEADLINES = [
    ("test-diagnosis", "balanced_accuracy", "diagnosis, balanced accuracy"),
    ("test-diagnosis", "accuracy", "diagnosis, accuracy"),
    ("test-diagnosis", "macro_auc", "diagnosis, macro AUC"),
    ("test-diagnosis", "auc_mel", "melanoma, AUC"),
    ("test-diagnosis", "ece", "diagnosis, expected calibration error"),
    ("test-diagnosis", "nll", "diagnosis, negative log-likelihood"),
    ("test-symmetry", "balanced_accuracy", "symmetry, balanced accuracy"),
    ("test-symmetry", "macro_auc", "symmetry, AUC"),
    ("test-lesion", "dice", "outline, Dice"),
    ("test-lesion", "thresholded_jaccard", "outline, thresholded Jaccard"),
    ("ph2-lesion", "dice", "outline, Dice"),
    ("ph2-symmetry", "balanced_accuracy", "symmetry, balanced accuracy"),
    ("ph2-symmetry", "macro_auc", "symmetry, AUC"),
    ("ph2-symmetry", "sensitivity_asymmetric", "symmetry, sensitivity for asymmetric"),
    ("ph2-diagnosis", "balanced_accuracy", "diagnosis (nv, mel), balanced accuracy"),
    ("ph2-diagnosis", "auc_mel", "melanoma, AUC"),
    ("ph2-diagnosis", "sensitivity_mel", "melanoma, sensitivity"),
    ("isic2017-mel", "auc_mel", "melanoma against the rest, AUC"),
    ("isic2017-bkl", "auc_bkl", "keratosis against the rest, AUC"),
]
"""File, metric, and what it is called."""


def headline_table(*others: tuple[str, Path]) -> str:
    """The metrics that matter most, a row each, and a column more for each other file of scores, by its heading."""
    rows: list[dict[str, Any]] = []
    for file, metric, title in HEADLINES:
        found = stored(SCORES, file, metric)
        row = {"images": SETS[file.partition("-")[0]], "number": found["images"], "metric": title}
        more = {heading: interval(stored(scores, file, metric)) for heading, scores in others}
        rows.append({**row, "95 % interval": interval(found), **more})
    return markdown(pd.DataFrame(rows))


def headline_notes(docs: str) -> str:
    """What a reader of the metrics has to know beside them, with a link into `docs`."""
    earlier = pd.read_csv(RUN / "earlier.csv", index_col=0)["run of the bundle before"] / len(pd.read_parquet(TESTED))
    return NOTES.format(validated=earlier["validation folds"], tested=earlier["test subset"], docs=docs)


def shipped_sections() -> list[str]:
    """The page's section of the bundle that ships."""
    split = pd.read_csv(RUN / "split.csv").fillna(0)
    return [
        TEXT.format(images=split["images"].sum(), lesions=split["groups"].sum(), **_spent()),
        markdown(split),
        headline_table(BEFORE),
        exchange_section(),
        MEMBERS,
        metric_table(RUN, ["diagnosis", "symmetry"]),
        *calibration_section(),
        *sets_section(),
        *transfer_sections(),
        *reading_section(),
        *arms_sections(),
        *leaking_section(),
        *metadata_section(),
        *peer_sections(),
        *failure_sections(),
    ]


def _spent() -> dict[str, Any]:
    """Number of trainings, seconds of one at the median, and the machine; of the outlines, too."""
    trained, outlines = _trainings(RUN), _trainings(OUTLINES).filter(like="/lesion/")
    return {
        "trainings": len(trained),
        "seconds": trained.median(),
        "machine": _machine(RUN),
        "outlines": len(outlines),
        "outline_seconds": outlines.median(),
        "outline_machine": _machine(OUTLINES),
    }


def _trainings(folder: Path) -> "pd.Series[float]":
    seconds = pd.read_csv(folder / "seconds.csv").set_index("step")["seconds"]
    return seconds[seconds.index.str.startswith("networks/")]


def _machine(folder: Path) -> str:
    return str(json.loads((folder / "environment.json").read_text(encoding="utf-8"))["machine"])


def with_headlines(page: Path) -> str:
    """README or card with what stands between marks made anew: the table, and what CAM transfer is worth."""
    docs = os.path.relpath(HERE.parent, page.parent)
    readme = between(page.read_text(encoding="utf-8"), BEGIN, END, f"{headline_table()}\n\n{headline_notes(docs)}")
    return between(readme, ANSWER, ANSWERED, answer())


TEXT = """## All of HAM10000: the bundle that ships

    selcn run docs/results/ham10000/config.yaml --out runs/ham10000            # symmetry and diagnosis
    selcn run docs/results/ham10000-metadata/config.yaml --out runs/outlines   # the lesion network
    python docs/results/join.py runs/outlines runs/ham10000/bundle joined
    selcn export joined
    python docs/results/score.py runs/ham10000 joined ph2.csv isic2017.csv docs/results/ham10000-bundle

{images} images of {lesions} lesions at 200x150 pixels, five folds and a held-out test subset; another 5 % of the images
set the ensemble's temperature. The {trainings} trainings took {seconds:.0f} seconds at the median, eight to ten at
once. Machine: {machine}.

The lesion network was exchanged later for one that was trained on the same folds, a U-Net in place of a Linknet
([what was tried](experiments.md)): the first of {outlines} members, of which each took {outline_seconds:.0f} seconds at
the median, 16 at once. Machine: {outline_machine}. Symmetry and diagnosis were trained on outlines of the Linknet, and
the run's own tables below are of those outlines, neither averaged nor cleaned; so are the biases, the abstention and
the prediction sets of the bundle. `configs/ham10000.yaml` trains all three together; that was not done.

Scored is the bundle itself, weights in 16 bits and one segmentation network for all members, whose masks are averaged
over flips and keep their largest region. What it predicted of each image is kept beside the metrics:
`selcn evaluate docs/results/ham10000-bundle/*.parquet` gives every number again. The last column is of the bundle with
the Linknet, on the same images. No network of the bundle was trained on PH2 or ISIC 2017, and no variant was chosen by
their scores. But averaging over flips and keeping the largest region were tried after islands had been seen in pictures
of PH2, and low figures of earlier bundles, theirs among them, were the reason to train again, so that bundles have been
scored six times on these two, and three times on this test subset, on which networks that do not ship were scored
besides. The measures of symmetry were chosen by the labels of all images of HAM10000 that have one, these test images
among them, and images of this test subset were validated on while earlier networks were chosen
([Deviations](protocol.md#deviations))."""

NOTES = """Intervals are of 95 %, by lesion; a calibration error may lie below its own, since resampling raises it.
HAM10000 names no patients, so that other lesions of a person may have been trained on. Networks were first chosen on
validation folds of an earlier split, in which {validated:.0%} of these test images were, and {tested:.0%} were tested
on then; the last choices were made on validation folds of this one. The measures of symmetry, which the symmetry
network reads, were chosen by the labels of all of them, so that symmetry may be optimistic on HAM10000. Earlier bundles
have been scored on all of these images, and masks are averaged and cleaned since a look at PH2
([Deviations]({docs}/protocol.md#deviations))."""

MEMBERS = "The run's own members, in 32 bits and not calibrated, each with its own segmentation network:"
