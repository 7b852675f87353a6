"""Recalibration of class probabilities by a temperature and a bias a class; NumPy alone, so that prediction is fast.

Logits are divided by one temperature (Guo et al. 2017, arXiv:1706.04599) and each class' bias is added to them
(Alexandari et al. 2020, arXiv:1901.06852). Probabilities of networks trained with class weights hold for equally
frequent classes; the biases bring them back to the frequencies of the images fitted to. The predicted class stays the
one of the highest probability before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from selcn.errors import DataError
from selcn.labels import TEST

if TYPE_CHECKING:
    from selcn.evaluation.predictions import FloatArray, Predictions

MIN_PROBABILITY = 1e-15
"""Smaller probabilities are raised to it before a logarithm is taken."""
BIAS_DEVIATION = 2.0
"""Standard deviation of the normal prior of a bias, which keeps that of a class with hardly any images finite."""
_BOUNDS = (0.05, 20.0)


def rescale(probabilities: "FloatArray", temperature: float, bias: Sequence[float] = ()) -> "FloatArray":
    """Return probabilities whose logits are divided by a temperature, and then raised by a bias.

    Args:
        probabilities: (N, C), rows sum to 1.
        temperature: above 0; above 1 it lowers the confidence.
        bias: of each class; () for none, with which the most probable classes stay the same.
    """
    logits = np.log(np.maximum(probabilities, MIN_PROBABILITY)) / temperature
    if len(bias):
        logits = logits + np.asarray(bias, dtype=np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    rescaled: FloatArray = powers / powers.sum(axis=1, keepdims=True)
    return rescaled


@dataclass(frozen=True)
class Recalibration:
    """How probabilities are recalibrated.

    Attributes:
        temperature: all logits are divided by it, above 0; above 1 it lowers the confidence.
        bias: added to the logit of each class after that; their mean is 0. () for none.
    """

    temperature: float
    bias: tuple[float, ...] = ()

    def apply(self, probabilities: "FloatArray") -> "FloatArray":
        """Return recalibrated probabilities.

        Args:
            probabilities: (N, C), rows sum to 1.
        """
        return rescale(probabilities, self.temperature, self.bias)

    def of(self, predictions: "Predictions") -> "Predictions":
        """Return predictions with recalibrated probabilities; the predicted classes stay the same.

        Args:
            predictions: of any images.
        """
        return predictions.with_probabilities(self.apply(predictions.probabilities))


def fit_recalibration(predictions: "Predictions", bias: Sequence[float] | None = None) -> Recalibration:
    """Fit temperature and biases to the validation folds; the test subset is not used.

    They are those of highest posterior probability: of least negative log-likelihood plus that of the prior, see
    `BIAS_DEVIATION`.

    Args:
        predictions: with rows of the validation folds.
        bias: of each class, where it is known; the temperature alone is then fitted.

    Raises:
        DataError: there are no validation rows.
    """
    from scipy.optimize import minimize

    rows = predictions.table[predictions.table["fold"] != TEST]
    if rows.empty:
        raise DataError("no validation rows to recalibrate with; give predictions with the folds' own rows")
    held = replace(predictions, table=rows)
    truth, classes = held.truth, len(held.classes)
    logits, one_hot = np.log(np.maximum(held.probabilities, MIN_PROBABILITY)), np.eye(classes)[truth]

    def loss(parameters: "FloatArray") -> "tuple[float, FloatArray]":
        """The sum to be least, and its gradient."""
        factor, added = np.exp(-parameters[0]), parameters[1:]
        scaled = factor * logits + added
        shifted = scaled - scaled.max(axis=1, keepdims=True)
        powers = np.exp(shifted)
        sums = powers.sum(axis=1, keepdims=True)
        error = powers / sums - one_hot
        value = (np.log(sums[:, 0]) - shifted[np.arange(len(truth)), truth]).sum()
        gradient = np.concatenate([[-(error * factor * logits).sum()], error.sum(axis=0) + added / BIAS_DEVIATION**2])
        return float(value + (added**2).sum() / (2 * BIAS_DEVIATION**2)), gradient

    start = np.append(0.0, np.zeros(classes) if bias is None else bias)
    free = [(None, None)] * classes if bias is None else [(one, one) for one in bias]
    found = minimize(loss, start, jac=True, bounds=[tuple(np.log(_BOUNDS)), *free], method="L-BFGS-B").x
    return Recalibration(float(np.exp(found[0])), tuple((found[1:] - found[1:].mean()).tolist()))
