"""What docs/results.md and README.md say of the bundle that ships: from `scores.csv` of `docs/results/score.py`."""

from pathlib import Path
from typing import Any

import pandas as pd

from failures import failure_sections
from tables import interval, markdown, metric_table

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
CARD = HERE.parents[1] / "bundles" / "ham10000" / "README.md"
RUN, SCORES = HERE / "ham10000", HERE / "ham10000-bundle" / "scores.csv"
BEGIN, END = "<!-- headlines: written by docs/results/make.py -->", "<!-- end of headlines -->"
SETS = {
    "test": "HAM10000, held-out lesions",
    "ph2": "PH2, untouched",
    "isic2017": "ISIC 2017, untouched, squeezed to squares",
}
HEADLINES = [
    ("test-diagnosis", "balanced_accuracy", "diagnosis, balanced accuracy"),
    ("test-diagnosis", "macro_auc", "diagnosis, macro AUC"),
    ("test-diagnosis", "auc_mel", "melanoma, AUC"),
    ("test-diagnosis", "ece", "diagnosis, expected calibration error"),
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


def headline_table() -> str:
    """The metrics that matter most, a row each."""
    scores = pd.read_csv(SCORES)
    rows: list[dict[str, Any]] = []
    for file, metric, title in HEADLINES:
        found = scores[(scores["file"] == file) & (scores["metric"] == metric)].iloc[0].to_dict()
        where = SETS[file.partition("-")[0]]
        rows.append({"images": where, "number": found["images"], "metric": title, "95 % interval": interval(found)})
    return markdown(pd.DataFrame(rows))


def shipped_sections() -> list[str]:
    """The page's section of the bundle that ships."""
    split = pd.read_csv(RUN / "split.csv").fillna(0)
    seconds = pd.read_csv(RUN / "seconds.csv")["seconds"].sum()
    return [
        TEXT.format(images=split["images"].sum(), lesions=split["groups"].sum(), hours=seconds / 3600),
        markdown(split),
        headline_table(),
        MEMBERS,
        metric_table(RUN, ["diagnosis", "symmetry"]),
        *failure_sections(),
    ]


def with_headlines(readme: str) -> str:
    """The README with the table between its two marks, where it has them, made anew."""
    if BEGIN not in readme:
        return readme
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{headline_table()}\n{END}{after}"


TEXT = """## All of HAM10000: the bundle that ships

    selcn run configs/ham10000.yaml --out runs/ham10000
    python docs/results/score.py runs/ham10000 bundles/ham10000 ph2.csv isic2017.csv docs/results/ham10000-bundle

{images} images of {lesions} lesions at 200x150 pixels, five folds and a held-out test subset; another 5 % of the images
calibrate the ensemble. At least {hours:.1f} hours on two CPU cores up to the predictions: of a training that was
resumed, the last part alone is counted. The bundle was made from the predictions, before the run's own saliency was
scored, which it does not depend on. Scored is the bundle itself, weights in 16 bits and one segmentation network for
all members. What it predicted of each image is kept beside the metrics: `selcn evaluate
docs/results/ham10000-bundle/*.parquet` gives every number again. PH2 and ISIC 2017 were scored once, when the bundle
was final; nothing was chosen on them."""

MEMBERS = "The run's own members, in 32 bits and not calibrated, each with its own segmentation network:"
