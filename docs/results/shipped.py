"""What docs/results.md and README.md say of the bundle that ships: from `scores.csv` of `docs/results/score.py`."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from arms import answer, arms_sections
from failures import failure_sections
from peer_section import peer_sections
from reading import reading_section
from recalibrated import calibration_section, sets_section
from tables import between, interval, markdown, metric_table
from transfer import transfer_sections

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
CARD = HERE.parents[1] / "bundles" / "ham10000" / "README.md"
RUN, SCORES = HERE / "ham10000", HERE / "ham10000-bundle" / "scores.csv"
ANSWER, ANSWERED = "<!-- transfer: written by docs/results/make.py -->", "<!-- end of transfer -->"
BEFORE = ("before, of HAM10000 other images", HERE / "ham10000-before.csv")
"""Scores of the bundle that shipped before, whose test subset was another."""
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
    ("isic2017-mel", "auc_mel", "melanoma against the rest, AUC"),
    ("isic2017-bkl", "auc_bkl", "keratosis against the rest, AUC"),
]
"""File, metric, and what it is called."""


def headline_table(*others: tuple[str, Path]) -> str:
    """The metrics that matter most, a row each, and a column more for each other file of scores, by its heading."""
    rows: list[dict[str, Any]] = []
    for file, metric, title in HEADLINES:
        found = _score(SCORES, file, metric)
        row = {"images": SETS[file.partition("-")[0]], "number": found["images"], "metric": title}
        more = {heading: interval(_score(scores, file, metric)) for heading, scores in others}
        rows.append({**row, "95 % interval": interval(found), **more})
    return markdown(pd.DataFrame(rows))


def _score(scores: Path, file: str, metric: str) -> dict[Any, Any]:
    table = pd.read_csv(scores)
    return table[(table["file"] == file) & (table["metric"] == metric)].iloc[0].to_dict()


def shipped_sections() -> list[str]:
    """The page's section of the bundle that ships."""
    split = pd.read_csv(RUN / "split.csv").fillna(0)
    return [
        TEXT.format(images=split["images"].sum(), lesions=split["groups"].sum(), **_spent()),
        markdown(split),
        headline_table(BEFORE),
        MEMBERS,
        metric_table(RUN, ["diagnosis", "symmetry"]),
        *calibration_section(),
        *sets_section(),
        *transfer_sections(),
        *reading_section(),
        *arms_sections(),
        *peer_sections(),
        *failure_sections(),
    ]


def _spent() -> dict[str, Any]:
    """Number of trainings, seconds of one at the median, and the machine."""
    seconds = pd.read_csv(RUN / "seconds.csv").set_index("step")["seconds"]
    trained = seconds[seconds.index.str.startswith("networks/")]
    machine = json.loads((RUN / "environment.json").read_text(encoding="utf-8"))["machine"]
    return {"trainings": len(trained), "seconds": trained.median(), "machine": machine}


def with_headlines(readme: str) -> str:
    """README or card with what stands between marks made anew: the table, and what CAM transfer is worth."""
    readme = between(readme, BEGIN, END, headline_table())
    return between(readme, ANSWER, ANSWERED, answer())


TEXT = """## All of HAM10000: the bundle that ships

    selcn run configs/ham10000.yaml --out runs/ham10000
    selcn export --out exported
    python docs/results/score.py runs/ham10000 exported ph2.csv isic2017.csv docs/results/ham10000-bundle

{images} images of {lesions} lesions at 200x150 pixels, five folds and a held-out test subset; another 5 % of the images
calibrate the ensemble. The {trainings} trainings took {seconds:.0f} seconds at the median, eight to ten at once.
Machine: {machine}.
The bundle was made from the predictions, before the run's own saliency was scored, which it does not depend on. Scored
is the bundle itself, weights in 16 bits and one segmentation network for all members. What it predicted of each image
is kept beside the metrics: `selcn evaluate docs/results/ham10000-bundle/*.parquet` gives every number again.
The bundle that shipped before (last column) was trained and scored on another split, which had dealt its test subset
the harder lesions; on PH2 and ISIC 2017 both predict the same images. No network was trained on PH2 or ISIC 2017, and
no variant was chosen by them; but low figures of earlier bundles, theirs among them, were the reason to train again, so
that these two have been scored four times, and images of this test subset were validated on while earlier networks were
chosen ([Deviations](protocol.md#deviations))."""

MEMBERS = "The run's own members, in 32 bits and not calibrated, each with its own segmentation network:"
