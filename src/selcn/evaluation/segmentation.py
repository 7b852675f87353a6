"""Per-image scores of predicted masks, and their means with intervals."""

from pathlib import Path

import numpy as np
import pandas as pd

from selcn.evaluation.boundary import boundary_scores
from selcn.evaluation.intervals import RESAMPLES, Statistic, interval_table
from selcn.evaluation.predictions import BoolArray, FloatArray, IntArray, check_scores, read_scores, score_columns

JACCARD_THRESHOLD = 0.65
"""Below this Jaccard an image counts 0 (ISIC 2018, task 1; Codella et al. 2019)."""


def segmentation_scores(truth: BoolArray, prediction: BoolArray) -> pd.DataFrame:
    """Score masks pixel by pixel, and their borders, one row an image.

    Every score of pixels is a fraction, and a fraction of nothing is 1, for nothing could be got wrong:

    - both masks empty: all five scores are 1;
    - only the truth empty: Dice and Jaccard 0, sensitivity 1 (no lesion to miss);
    - only the prediction empty: Dice, Jaccard and sensitivity 0;
    - the truth fills the image: specificity 1 (no background to mistake).

    Args:
        truth: lesion masks, bool (N, H, W).
        prediction: predicted masks of the same shape, bool.

    Returns:
        Columns ``dice, jaccard, sensitivity, specificity, accuracy`` and those of `boundary_scores`.

    Raises:
        ValueError: the arrays are not bool, not (N, H, W) or differ in shape.
    """
    if truth.dtype != np.bool_ or prediction.dtype != np.bool_:
        raise ValueError(f"masks are {truth.dtype} and {prediction.dtype}; threshold them to bool first")
    if truth.ndim != 3 or truth.shape != prediction.shape:
        raise ValueError(f"masks are {truth.shape} and {prediction.shape}; both must be one (N, H, W)")
    pixels = np.full(len(truth), truth.shape[1] * truth.shape[2])
    hits, lesion, found = (mask.sum(axis=(1, 2)) for mask in (truth & prediction, truth, prediction))
    union = lesion + found - hits
    correct = pixels - union + hits
    counts = {
        "dice": (2 * hits, lesion + found),
        "jaccard": (hits, union),
        "sensitivity": (hits, lesion),
        "specificity": (pixels - union, pixels - lesion),
        "accuracy": (correct, pixels),
    }
    of_pixels = {score: _fraction_or_one(*parts) for score, parts in counts.items()}
    return pd.DataFrame(of_pixels | boundary_scores(truth, prediction))


def evaluate_segmentation(path: Path, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Mean scores of a segmentation score file with 95 % intervals; see :func:`summarise_segmentation`.

    Raises:
        DataError: the file is wrong.
        ConfigError: ``resamples`` is below 1.
    """
    return summarise_segmentation(read_scores(path), resamples=resamples, seed=seed)


def summarise_segmentation(scores: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Means over images of the scores and of ISIC's thresholded Jaccard, with 95 % intervals by lesion.

    Args:
        scores: a table as :func:`selcn.evaluation.predictions.check_scores` takes it, one row an image.
        resamples: number of bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups``; values are fractions.

    Raises:
        DataError: the table is wrong.
        ConfigError: ``resamples`` is below 1.
    """
    return interval_table(check_scores(scores), _mean_scores, resamples=resamples, seed=seed)


def _mean_scores(scores: pd.DataFrame) -> Statistic:
    jaccard = scores["jaccard"]
    table = scores[score_columns(scores)].assign(thresholded_jaccard=jaccard.where(jaccard >= JACCARD_THRESHOLD, 0.0))

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        means = weights @ table.to_numpy() / weights.sum(axis=1, keepdims=True)
        return dict(zip(table.columns, means.T, strict=True))

    return statistic


def _fraction_or_one(part: IntArray, whole: IntArray) -> FloatArray:
    fractions = np.ones(len(whole))
    np.divide(part, whole, out=fractions, where=whole > 0)
    return fractions
