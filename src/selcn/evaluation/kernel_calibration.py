"""Calibration error of the whole probability vector, with a kernel in place of bins (Popordanoska et al. 2022)."""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.special import gammaln, logsumexp

from selcn.evaluation.predictions import FloatArray, IntArray
from selcn.evaluation.ranking import fraction
from selcn.evaluation.recalibration import MIN_PROBABILITY

BANDWIDTHS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Among which the one of the highest leave-one-out likelihood is taken."""
_BLOCK_CELLS = 4_000_000  # kernel values held at once, 32 MB


def kernel_calibration_of(truth: IntArray, probabilities: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Return the function from weights (B, N) to the calibration error (B,), 0 to 2; it takes time by N squared.

    Mean over images j of the sum over classes of ``|E[y | p_j] - p_j|``, where E[y | p_j] is the mean of the other
    images' one-hot truths, weighted by a Dirichlet kernel at p_j with the parameters p_i / h + 1 (Popordanoska, Sayer &
    Blaschko 2022, arXiv:2210.07810). An image with no weight near it is left out; NaN where all are.

    Args:
        truth: class numbers (N,).
        probabilities: (N, C).
    """
    images, classes = probabilities.shape
    bandwidth = best_bandwidth(probabilities)

    def error(weights: FloatArray) -> FloatArray:
        total, counted = np.zeros(len(weights)), np.zeros(len(weights))
        for rows, logarithms in _log_kernels(probabilities, bandwidth):
            highest = np.maximum(logarithms.max(axis=1, keepdims=True), -np.finfo(float).max)
            kernels = np.exp(logarithms - highest).T
            near = [weights[:, truth == number] @ kernels[truth == number] for number in range(classes)]
            whole = np.sum(near, axis=0)
            gaps = [np.abs(fraction(near[number], whole) - probabilities[rows, number]) for number in range(classes)]
            own = weights[:, rows] * (whole > 0)
            total += (own * np.nan_to_num(np.sum(gaps, axis=0))).sum(axis=1)
            counted += own.sum(axis=1)
        return fraction(total, counted)

    return error if images > 1 else lambda weights: np.full(len(weights), np.nan)


def best_bandwidth(probabilities: FloatArray) -> float:
    """Return the bandwidth of `BANDWIDTHS` under which each image is likeliest, given the others.

    Args:
        probabilities: (N, C).
    """

    def likelihood(bandwidth: float) -> float:
        return sum(
            float(logsumexp(logarithms, axis=1).sum()) for _, logarithms in _log_kernels(probabilities, bandwidth)
        )

    return max(BANDWIDTHS, key=likelihood) if len(probabilities) > 1 else BANDWIDTHS[-1]


def _log_kernels(probabilities: FloatArray, bandwidth: float) -> Iterator[tuple[slice, FloatArray]]:
    """Blocks of images, and the logarithms of the kernels of all N images there; an image's own is -inf."""
    parameters = probabilities / bandwidth + 1
    norm = gammaln(parameters.sum(axis=1)) - gammaln(parameters).sum(axis=1)
    logarithms = np.log(np.maximum(probabilities, MIN_PROBABILITY))
    step = max(1, _BLOCK_CELLS // len(probabilities))
    for start in range(0, len(probabilities), step):
        rows = slice(start, min(start + step, len(probabilities)))
        block = logarithms[rows] @ (parameters - 1).T + norm
        block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = -np.inf
        yield rows, block
