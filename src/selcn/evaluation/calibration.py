"""Whether probabilities mean what they say: calibration error, proper scores, temperature scaling."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from selcn.errors import DataError
from selcn.evaluation.predictions import FloatArray, IntArray, Predictions
from selcn.evaluation.ranking import fraction
from selcn.labels import TEST

BINS = 15
_LEAST = 1e-15
_TEMPERATURES = (0.05, 20.0)


def calibration_metrics(truth: IntArray, probabilities: FloatArray, weights: FloatArray) -> dict[str, FloatArray]:
    """Expected calibration error, Brier score and negative log-likelihood of N images under B weightings.

    - `ece`: of the predicted class, in 15 bins of equal width (Guo et al. 2017);
    - `brier`: squared distance to the one-hot truth, summed over classes (Brier 1950), 0 to 2;
    - `nll`: mean of -ln p(truth), p being at least 1e-15.

    Args:
        truth: class numbers (N,).
        probabilities: (N, C).
        weights: not negative, (B, N).
    """
    whole = weights.sum(axis=1)
    own = probabilities[np.arange(len(truth)), truth]
    squared = (probabilities**2).sum(axis=1) - 2 * own + 1
    return {
        "ece": _ece(truth, probabilities, weights),
        "brier": fraction(weights @ squared, whole),
        "nll": fraction(weights @ -np.log(np.maximum(own, _LEAST)), whole),
    }


def reliability(predictions: Predictions, bins: int = BINS) -> pd.DataFrame:
    """A row a bin of the predicted class' probability: ``low, high, images, confidence, accuracy``; NaN where empty."""
    probabilities = predictions.probabilities
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == predictions.truth
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


@dataclass(frozen=True)
class Temperature:
    """One number that all logits are divided by (Guo et al. 2017): above 1 it makes probabilities less sure.

    Attributes:
        value: the temperature.
    """

    value: float

    def apply(self, probabilities: FloatArray) -> FloatArray:
        """Rescaled probabilities (N, C); the predicted class stays what it was."""
        return rescale(probabilities, self.value)

    def of(self, predictions: Predictions) -> Predictions:
        """Predictions with rescaled probabilities."""
        table = predictions.table.copy()
        table[predictions.classes] = self.apply(predictions.probabilities)
        return Predictions(predictions.classes, table)


def fit_temperature(predictions: Predictions) -> Temperature:
    """The temperature of least log-likelihood loss on the validation folds; the test part is never looked at.

    Raises:
        DataError: there are no validation rows.
    """
    rows = predictions.table[predictions.table["fold"] != TEST]
    if rows.empty:
        raise DataError("no validation rows to fit a temperature on; give predictions with the folds' own rows")
    held = Predictions(predictions.classes, rows)
    truth, probabilities = held.truth, held.probabilities

    def loss(logarithm: float) -> float:
        own = Temperature(float(np.exp(logarithm))).apply(probabilities)[np.arange(len(truth)), truth]
        return float(-np.log(np.maximum(own, _LEAST)).mean())

    bounds = tuple(np.log(_TEMPERATURES))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return Temperature(float(np.exp(found.x)))


def _ece(truth: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    confidence = probabilities.max(axis=1)
    gap = confidence - (probabilities.argmax(axis=1) == truth)
    in_bin = np.eye(BINS)[_bin_of(confidence, BINS)]
    gaps: FloatArray = np.abs((weights * gap) @ in_bin).sum(axis=1)
    return fraction(gaps, weights.sum(axis=1))


def _bin_of(confidence: FloatArray, bins: int) -> IntArray:
    """Number of the bin (low, high] that each confidence lies in."""
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def rescale(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Probabilities (N, C) whose logits are divided by a temperature; the likeliest class stays what it was."""
    logits = np.log(np.maximum(probabilities, _LEAST)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    rescaled: FloatArray = powers / powers.sum(axis=1, keepdims=True)
    return rescaled
