"""Whether probabilities are calibrated: expected calibration error, proper scores, reliability tables."""

import numpy as np
import pandas as pd

from selcn.evaluation.predictions import BoolArray, FloatArray, IntArray, Predictions
from selcn.evaluation.ranking import fraction
from selcn.evaluation.recalibration import MIN_PROBABILITY

BINS = 15


def calibration_metrics(
    truth: IntArray, probabilities: FloatArray, predicted: IntArray, weights: FloatArray
) -> dict[str, FloatArray]:
    """Return expected calibration error, Brier score and negative log-likelihood of N images under B weightings.

    - `ece`: of the predicted class, in 15 bins of equal width (Guo et al. 2017);
    - `brier`: squared distance to the one-hot truth, summed over classes (Brier 1950), 0 to 2;
    - `nll`: mean of -ln p(truth), p being at least 1e-15.

    Args:
        truth: class numbers (N,).
        probabilities: (N, C).
        predicted: numbers of the predicted classes (N,).
        weights: not negative, (B, N).

    Returns:
        Metric names to values (B,).
    """
    whole, rows = weights.sum(axis=1), np.arange(len(truth))
    own = probabilities[rows, truth]
    return {
        "ece": _binned_error(probabilities[rows, predicted], predicted == truth, weights),
        "brier": _brier(truth, probabilities, weights),
        "nll": fraction(weights @ -np.log(np.maximum(own, MIN_PROBABILITY)), whole),
    }


def root_brier(truth: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the root of the Brier score, (B,), an upper bound of the canonical calibration error.

    Gruber & Buettner (2022, arXiv:2203.07835).

    Args:
        truth: class numbers (N,).
        probabilities: (N, C).
        weights: not negative, (B, N).
    """
    return np.sqrt(np.maximum(_brier(truth, probabilities, weights), 0))


def class_wise_error(truth: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the calibration error of each class' probability in 15 bins of equal width, averaged over classes, (B,).

    Kull et al. (2019, arXiv:1910.12656), as class-wise ECE.

    Args:
        truth: class numbers (N,).
        probabilities: (N, C).
        weights: not negative, (B, N).
    """
    errors = [_binned_error(column, truth == number, weights) for number, column in enumerate(probabilities.T)]
    mean: FloatArray = np.mean(errors, axis=0)
    return mean


def reliability(predictions: Predictions, bins: int = BINS) -> pd.DataFrame:
    """Return mean confidence and accuracy by bins of the predicted class' probability.

    Args:
        predictions: of any images.
        bins: number of bins of equal width, at least 1.

    Returns:
        One row a bin, ``low, high, images, confidence, accuracy``; the last two are NaN in an empty bin.
    """
    confidence, right = predictions.confidence, predictions.predicted == predictions.truth
    number = _bin_of(confidence, bins)
    images = np.bincount(number, minlength=bins).astype(np.float64)
    edges = np.linspace(0, 1, bins + 1)
    sums = [np.bincount(number, weights=values, minlength=bins) for values in (confidence, right.astype(np.float64))]
    mean_confidence, accuracy = (fraction(values.astype(np.float64), images) for values in sums)
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "images": images.astype(np.int64),
            "confidence": mean_confidence,
            "accuracy": accuracy,
        }
    )


def _brier(truth: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    own = probabilities[np.arange(len(truth)), truth]
    return fraction(weights @ ((probabilities**2).sum(axis=1) - 2 * own + 1), weights.sum(axis=1))


def _binned_error(confidence: FloatArray, right: BoolArray, weights: FloatArray) -> FloatArray:
    """Weighted mean over bins of the gap between mean confidence and share of hits."""
    in_bin = np.eye(BINS)[_bin_of(confidence, BINS)]
    gaps: FloatArray = np.abs((weights * (confidence - right)) @ in_bin).sum(axis=1)
    return fraction(gaps, weights.sum(axis=1))


def _bin_of(confidence: FloatArray, bins: int) -> IntArray:
    """Number of the bin (low, high] that each confidence lies in."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
