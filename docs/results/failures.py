"""What docs/results.md says of where the bundle that ships fails."""

from itertools import product
from pathlib import Path

import pandas as pd

from exchanged import hardly_changed
from selcn.evaluation.robustness import ALL_CORRUPTIONS, MEAN
from tables import interval, markdown

HERE = Path(__file__).parent
OOD = HERE / "ham10000-ood.csv"
LEFT_OUT = HERE / "left-out" / "ood.csv"
ROBUSTNESS = HERE / "ham10000-robustness.csv"
WARNED_SINCE = HERE / "ham10000-bundle" / "strange.csv"
"""By kind of strange image, the share that the bundle warns of with its later outlines."""
CORRUPTED = {
    "balanced_accuracy": "balanced accuracy",
    "ece": "calibration error",
    "abstained": "abstained",
    "coverage": "coverage of its sets",
    "set_size": "size of its sets",
    "saliency_stability": "correlation of saliency",
}
SCORES = {"distance": "the distance", "distance_earlier": "the distance a layer before", "max_probability": "1 - max p"}
MEASURES = {"auroc": "AUROC of", "fpr_at_95_tpr": "missed where 95 % of usual images pass, by"}

UNLIKE = "unlike the training images"
WARNED = "warned", "false_alarms"
UNLIKE_TITLE = "warned as unlike the training images"
WARNINGS = {"any warning": "any warning", UNLIKE: UNLIKE_TITLE}
LEFT = {"auroc": "AUROC", "fpr_at_95_tpr": "missed where 95 % of usual images pass"}


def failure_sections() -> list[str]:
    """Images out of distribution, and corrupted ones."""
    return [f"{STRANGE} {unlike().join(RARE)}", _strange(), _outlined_since(), *_left_out(), *_robustness()]


def _robustness() -> list[str]:
    """Means over severities, a row a corruption, and what balanced accuracy loses at the highest severity."""
    table = pd.read_csv(ROBUSTNESS)
    averaged = table[table["severity"].isin(["0", MEAN])]
    worst = table[(table["severity"] == "5") & (table["metric"] == "balanced_accuracy")].set_index("corruption")
    ends = {"difference": "value", "difference_low": "low", "difference_high": "high"}
    worst = worst[list(ends)].rename(columns=ends)
    rows = []
    for corruption, found in averaged.groupby("corruption", sort=False):
        known = found.set_index("metric")
        cells = {title: interval(known.loc[metric].to_dict()) for metric, title in CORRUPTED.items()}
        lost = interval(worst.loc[corruption].to_dict(), signed=True) if corruption in worst.index else ""
        rows.append({"": corruption, **cells, "balanced accuracy, severity 5, minus clean": lost})
    counts, hardest = table.iloc[0], worst.drop(index=ALL_CORRUPTIONS)["value"].nsmallest(3).index
    return [
        ROBUST.format(
            images=counts["images"], lesions=counts["groups"], worst=", ".join(hardest), hardly=hardly_changed()
        ),
        markdown(pd.DataFrame(rows)),
    ]


def _strange() -> str:
    table = pd.read_csv(OOD).fillna({"ood": ""})
    rows = []
    for kind, found in table[table["ood"] != ""].groupby("ood", sort=False):
        known = {(str(row["metric"]), str(row["score"])): row for row in found.to_dict("records")}
        warned = known["warned", "any warning"]
        cells = {_heading(*one): interval(known[one]) for one in product(MEASURES, SCORES)}
        rows.append({"": kind, "images": int(warned["images"]), **cells, **_warned(found)})
    usual = table[table["metric"] == "false_alarms"]
    nothing = {_heading(*one): "" for one in product(MEASURES, SCORES)}
    rows.append({"": "test subset", "images": int(usual.iloc[0]["images"]), **nothing, **_warned(usual)})
    return markdown(pd.DataFrame(rows))


def _outlined_since() -> str:
    """Which share of each kind the bundle warns of with its later outlines."""
    shares = pd.read_csv(WARNED_SINCE)
    return SINCE.format(", ".join(f"{row.warned:.3f} of {row.source}" for row in shares.itertuples()))


def _left_out() -> list[str]:
    """What a network trained on four classes makes of the other three."""
    table = pd.read_csv(LEFT_OUT).fillna({"ood": ""})
    strange = table[table["ood"] != ""]
    rows = []
    for score in ("max_probability", "energy", "distance"):
        known = strange[strange["score"] == score].set_index("metric")
        rows.append({"": score.replace("_", " "), **{name: interval(known.loc[name].to_dict()) for name in LEFT}})
    counts = strange.iloc[0]
    text = LEFT_OUT_TEXT.format(
        images=counts["images"],
        lesions=counts["groups"],
        warned=_warned(strange)[UNLIKE_TITLE],
        usual=_warned(table[table["ood"] == ""])[UNLIKE_TITLE],
    )
    return [text, markdown(pd.DataFrame(rows).rename(columns=LEFT))]


def _warned(found: pd.DataFrame) -> dict[str, str]:
    """Shares with any warning, and with that of images unlike the training images; no row is no image."""
    known = {str(row["score"]): row for row in found[found["metric"].isin(WARNED)].to_dict("records")}
    return {title: interval(known[score]) if score in known else "0" for score, title in WARNINGS.items()}


def unlike() -> str:
    """How rarely the warning of images unlike the training images is given, in words."""
    table = pd.read_csv(OOD).fillna({"ood": ""})
    told = [
        table[(table["ood"] == kind) & (table["metric"] == metric) & (table["score"] == UNLIKE)].iloc[0].to_dict()
        for kind, metric in (("all", "warned"), ("", "false_alarms"))
    ]
    return f"{interval(told[0])} of the strange images and {interval(told[1])} of usual ones"


def _heading(measure: str, score: str) -> str:
    return f"{MEASURES[measure]} {SCORES[score]}"


STRANGE = """### What it knows of strange images

    python docs/results/strange.py PHOTOGRAPHS isic2017.csv strange
    selcn evaluate runs/ham10000 --ood strange/catalog.csv

Noise, blank frames and the **synthetic** phantom, photographs that come with scikit-image, and ISIC 2017's seborrheic
keratoses, which are from other clinics and squeezed. *Any warning* is the share with any; that of the test subset are
false alarms. The warning of images unlike the training images reads the distance."""

RARE = (
    "Its threshold hardly ever is reached: it is given of ",
    """; what is warned of here is so
for noise, exposure or a missing lesion. The distance a layer before tells these images apart better, but by their
resolution and compression, too: it would warn of images of HAM10000 in their published size, though it was trained on
the same ones at 200x150 ([Experiments](experiments.md)).""",
)

SINCE = """These are figures of the run, whose outlines are those before. The bundle with its later ones, measured by
`python docs/results/strange.py exported strange`, gives any warning of these shares: {}."""

LEFT_OUT_TEXT = """### Classes that were left out of training

    selcn run docs/results/left-out/config.yaml --out runs/left-out
    selcn evaluate runs/left-out --ood left-out.csv

A linear probe of EfficientNet-Lite0's ImageNet features, trained on nv, mel, bkl and bcc of HAM10000 alone, five folds,
is asked about akiec, vasc and df: {images} images of {lesions} lesions, beside its test subset. The probability tells
them from usual ones in part, the distance hardly, and energy ranks them the wrong way. As unlike the training images
are warned of {warned}, of usual ones {usual}."""

ROBUST = """### What it does with spoiled images

    selcn export runs/ham10000/bundle
    selcn robustness runs/ham10000 --images {images} --engine onnx

{images} images of {lesions} lesions of the test subset, sampled at random, as they are and under 14 corruptions; with
the outlines before, of which the diagnosis is nearly independent: {hardly}.
Means over the five severities; intervals by lesion ([what each means](failures.md#robustness)). At the highest
severity balanced accuracy falls most under {worst}. A calibration error may lie below its own interval: resampling
[raises it](metrics.md)."""
