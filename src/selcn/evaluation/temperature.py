"""Temperature scaling of class probabilities (Guo et al. 2017); imports NumPy alone, so that prediction starts fast."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from selcn.errors import DataError
from selcn.labels import TEST

if TYPE_CHECKING:
    from selcn.evaluation.predictions import FloatArray, Predictions

MIN_PROBABILITY = 1e-15
"""Smaller probabilities are raised to it before a logarithm is taken."""
_BOUNDS = (0.05, 20.0)


def rescale(probabilities: "FloatArray", temperature: float) -> "FloatArray":
    """Return probabilities whose logits are divided by a temperature; the predicted classes stay the same.

    Args:
        probabilities: (N, C), rows sum to 1.
        temperature: above 0; above 1 it lowers the confidence.
    """
    logits = np.log(np.maximum(probabilities, MIN_PROBABILITY)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    rescaled: FloatArray = powers / powers.sum(axis=1, keepdims=True)
    return rescaled


@dataclass(frozen=True)
class Temperature:
    """A number that all logits are divided by; above 1 it lowers the confidence.

    Attributes:
        value: the temperature, above 0.
    """

    value: float

    def apply(self, probabilities: "FloatArray") -> "FloatArray":
        """Return rescaled probabilities; the predicted classes stay the same.

        Args:
            probabilities: (N, C), rows sum to 1.
        """
        return rescale(probabilities, self.value)

    def of(self, predictions: "Predictions") -> "Predictions":
        """Return predictions with rescaled probabilities.

        Args:
            predictions: of any images.
        """
        table = predictions.table.copy()
        table[predictions.classes] = self.apply(predictions.probabilities)
        return replace(predictions, table=table)


def fit_temperature(predictions: "Predictions") -> Temperature:
    """Fit the temperature of least negative log-likelihood to the validation folds; the test subset is not used.

    Args:
        predictions: with rows of the validation folds.

    Raises:
        DataError: there are no validation rows.
    """
    from scipy.optimize import minimize_scalar

    rows = predictions.table[predictions.table["fold"] != TEST]
    if rows.empty:
        raise DataError("no validation rows to fit a temperature on; give predictions with the folds' own rows")
    held = replace(predictions, table=rows)
    truth, probabilities = held.truth, held.probabilities

    def loss(logarithm: float) -> float:
        own = rescale(probabilities, float(np.exp(logarithm)))[np.arange(len(truth)), truth]
        return float(-np.log(np.maximum(own, MIN_PROBABILITY)).mean())

    bounds = tuple(np.log(_BOUNDS))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return Temperature(float(np.exp(found.x)))
