"""What docs/results.md says of plain scripts on the same images, split and budget.

python docs/results/peer_section.py PEERS   # keep what `benchmarks/peers.py` wrote, scores and differences
python docs/results/peer_section.py         # compare the stored scores of masks with those of other masks that ship
"""

import sys
from pathlib import Path

import pandas as pd

from score import keep
from selcn.evaluation import Predictions, evaluate_classification, fit_recalibration
from selcn.evaluation.comparison import compare, on_shared_images
from selcn.evaluation.evaluate import evaluate_file
from selcn.evaluation.predictions import read_predictions, read_scores
from selcn.evaluation.score_comparison import compare_scores
from selcn.evaluation.segmentation import summarise_segmentation
from selcn.labels import HAM10000, TEST
from tables import difference_table, interval, markdown, metric_table, told

HERE = Path(__file__).parent
RUN, OUT = HERE / "ham10000", HERE / "ham10000-peers"
OUTLINES = HERE / "ham10000-metadata" / "lesion.parquet"
"""Scores of the masks that ship."""
OURS = "diagnosis-standalone"
"""A cascade's network that reads nothing: what a plain script trains."""


PEERS = "fine-tuned", "linear-probe"
MASK_METRICS = ["dice", "jaccard", "thresholded_jaccard", "boundary_f1"]
RECALIBRATED = "balanced_accuracy", "accuracy", "macro_auc", "auc_mel"
MASKS = "unet"
"""Scores of a U-Net's masks, of the first fold alone."""


def keep_peers(folder: Path) -> None:
    """Keep the peers' predictions as Parquet, their metrics, and the run's differences from them."""
    OUT.mkdir(exist_ok=True)
    ours, found = read_predictions(RUN / f"{OURS}.parquet", HAM10000), []
    for file in [folder / f"{name}.csv" for name in PEERS if (folder / f"{name}.csv").is_file()]:
        keep(pd.read_csv(file), kept := OUT / f"{file.stem}.parquet")
        evaluate_file(kept, labels=HAM10000).to_csv(OUT / file.name, index=False)
        found.append(compare(*on_shared_images(read_predictions(kept, HAM10000), ours)).assign(a=file.stem, b=OURS))
    pd.concat(found).to_csv(OUT / "comparison.csv", index=False)
    if (folder / f"{MASKS}.csv").is_file():
        keep_masks(folder / f"{MASKS}.csv")


def keep_masks(scores: Path) -> None:
    """Keep scores of the U-Net's masks, and compare them."""
    keep(pd.read_csv(scores), OUT / f"{MASKS}-scores.parquet")
    compare_masks()


def compare_masks() -> None:
    """Keep metrics of the U-Net's masks, and how far those that ship are from them on the same images."""
    theirs, ours = read_scores(OUT / f"{MASKS}-scores.parquet"), read_scores(OUTLINES)
    ours = ours[ours["image_id"].isin(theirs["image_id"])].reset_index(drop=True)
    for name, table in (("lesion", ours), (MASKS, theirs)):
        summarise_segmentation(table).to_csv(OUT / f"{name}.csv", index=False)
    compare_scores(theirs, ours).to_csv(OUT / "masks.csv", index=False)


def peer_sections() -> list[str]:
    """The page's section."""
    alike = [ALIKE, _recalibrated()]
    return [TEXT, metric_table(OUT, list(PEERS)), difference_table(OUT), *alike, *_mask_section()]


def _recalibrated() -> str:
    """Both fine-tuned networks on the test subset, recalibrated by their own out-of-fold predictions."""
    known = {file.stem: _probable(file) for file in (OUT / "fine-tuned.parquet", RUN / f"{OURS}.parquet")}
    rows = []
    for name, predictions in known.items():
        table = evaluate_classification(predictions, resamples=500).set_index("metric")
        rows.append({"": name, **_cells(table)})
    table = compare(*known.values(), resamples=500).set_index("metric")
    rows.append({"": f"{OURS} minus fine-tuned", **_cells(table, signed=True)})
    return markdown(pd.DataFrame(rows))


def _probable(file: Path) -> Predictions:
    """The test subset recalibrated by the folds; the most probable class is what is predicted."""
    table = read_predictions(file, HAM10000).table
    held, test = (
        Predictions(HAM10000, table[rows].reset_index(drop=True))
        for rows in (table["fold"] != TEST, table["fold"] == TEST)
    )
    return Predictions(HAM10000, fit_recalibration(held).of(test).table.drop(columns="predicted"))


def _cells(table: pd.DataFrame, *, signed: bool = False) -> dict[str, str]:
    return {metric.replace("_", " "): interval(table.loc[metric].to_dict(), signed=signed) for metric in RECALIBRATED}


def _mask_section() -> list[str]:
    """Masks of the U-Net and of the run, and their differences."""
    return [
        MASKS_TEXT.format(before=f"Linknet minus U-Net: {_differences('masks-before.csv')}"),
        metric_table(OUT, ["lesion", MASKS], MASK_METRICS),
        f"The lesion network minus the U-Net: {_differences('masks.csv')}.",
    ]


def _differences(file: str) -> str:
    table = pd.read_csv(OUT / file).set_index("metric")
    return told({name: table.loc[name].to_dict() for name in MASK_METRICS})


TEXT = """### Beside plain scripts

    python benchmarks/peers.py runs/ham10000 --weights ../shared/weights --out peers

`fine-tuned` is the whole EfficientNet-Lite0 in a plain loop, with the same batches, epochs, learning rate and class
weights, flips for augmentation, and the weights of the last epoch. `linear-probe` is scikit-learn's logistic
regression, classes balanced, C = 0.001, on ImageNet features of EfficientNet-Lite2; C was set without a trial. Both saw
the same images, folds and test subset as `diagnosis-standalone`, which reads no saliency either. That has more than a
plain script: it averages four flips when it predicts, keeps the best epoch on its validation fold, and has dropout,
label smoothing, changes of colour and scale, and twice the weight decay. `fine-tuned` got images normalised with
ImageNet's own mean and deviation, where its weights expect 0.5 and 0.5 (mended since, `linear-probe` measured anew):
it may be better than it is shown here."""

ALIKE = """The fine-tuned network predicts frequent classes: it is right more often, in rare classes less. The likely
cause is that class weights hardly act once a network fits its training images. With probabilities recalibrated out of
fold, a temperature and a bias a class, and the most probable class predicted, the two on the test subset:"""

MASKS_TEXT = """A default U-Net of segmentation_models_pytorch on the same EfficientNet-Lite0, with binary cross-entropy
and flips, at the same size and for as many epochs (`unet`, `--only unet`), was trained without the first fold alone,
for time. It was better than the Linknet that shipped then ({before}), which led to the network that ships now: a U-Net,
too, with a narrower decoder, the same loss, changes of colour, four flips averaged and the largest region kept
([Experiments](experiments.md)). Both predict the images of that fold. The U-Net has the weights of its last epoch; of
the lesion network, epoch and architecture were chosen on these images and others, which favours it. `unet` got images
normalised with ImageNet's own mean and deviation, where the encoder's weights expect 0.5 and 0.5 (mended since)."""


if __name__ == "__main__":
    keep_peers(Path(sys.argv[1])) if sys.argv[1:] else compare_masks()
