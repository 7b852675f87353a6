"""Tests of whether two classifiers differ: McNemar's exact test, a permutation by lesion, Holm's correction."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from selcn.evaluation.intervals import Statistic
from selcn.evaluation.predictions import BoolArray, FloatArray, Predictions

PERMUTATIONS = 2_000
_BATCH_CELLS = 1_000_000


def mcnemar(a_right: BoolArray, b_right: BoolArray) -> float:
    """Return the two-sided p of McNemar's exact test (McNemar 1947); 1 where both get the same images right.

    It assumes independent images; where lesions have several images, use the permutation test by lesion instead.

    Args:
        a_right: whether classifier A is right, (N,).
        b_right: whether classifier B is right about the same images, (N,).
    """
    only_a, only_b = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue)


def permutation_test(
    a: Sequence[Predictions],
    b: Sequence[Predictions],
    statistic_of: Callable[[Predictions], Statistic],
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> dict[str, float]:
    """Return the two-sided p of each metric's difference when A's and B's predictions are exchanged lesion by lesion.

    Args:
        a: predictions of A, one a seed that it was trained with; the difference is the mean over seeds.
        b: predictions of B, as many, all of the same images in the same order.
        statistic_of: makes the statistic of some predictions.
        permutations: number of sampled exchanges; the observed one counts as one more (Phipson & Smyth 2010).
        seed: of the sampling.

    Returns:
        P by metric; NaN where the difference is undefined.
    """
    # The rows of both are concatenated; weights of 0 and 1 choose which of them count as A's.
    statistics = [
        statistic_of(Predictions(first.labels, pd.concat([first.table, second.table], ignore_index=True)))
        for first, second in zip(a, b, strict=True)
    ]
    return exchange_test(statistics, a[0].table["group"], permutations=permutations, seed=seed)


def exchange_test(
    statistics: Sequence[Statistic], groups: "pd.Series[str]", *, permutations: int = PERMUTATIONS, seed: int = 0
) -> dict[str, float]:
    """Return p of :func:`permutation_test` from the statistics of A's N rows followed by B's.

    Args:
        statistics: each of 2 N rows; the difference is the mean over them.
        groups: lesion of each image, (N,).
        permutations: see :func:`permutation_test`.
        seed: see :func:`permutation_test`.

    Returns:
        P by metric; NaN where the difference is undefined.
    """
    codes, names = pd.factorize(groups)
    observed = {metric: value[0] for metric, value in _differences(statistics, np.zeros((1, len(codes)))).items()}
    generator = np.random.default_rng(seed)
    extreme = dict.fromkeys(observed, 0)
    batch = max(1, _BATCH_CELLS // (2 * len(codes)))
    for done in range(0, permutations, batch):
        exchanged = generator.random((min(batch, permutations - done), len(names))) < 0.5
        for metric, values in _differences(statistics, exchanged[:, codes].astype(np.float64)).items():
            extreme[metric] += int((np.abs(values) >= abs(observed[metric]) - 1e-12).sum())
    return {
        metric: float("nan") if np.isnan(observed[metric]) else (count + 1) / (permutations + 1)
        for metric, count in extreme.items()
    }


def _differences(statistics: Sequence[Statistic], exchanged: FloatArray) -> dict[str, FloatArray]:
    """Mean B - A of each metric, where 1 in ``exchanged`` (P, N) takes B's prediction of an image for A's."""
    as_a, as_b = (np.concatenate([1 - one, one], axis=1) for one in (exchanged, 1 - exchanged))
    values = [(statistic(as_a), statistic(as_b)) for statistic in statistics]
    return {metric: np.mean([b[metric] - a[metric] for a, b in values], axis=0) for metric in values[0][0]}


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number (Holm 1979), in the same order.

    Args:
        p_values: from 0 to 1; NaN stays NaN and does not count.
    """
    p = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return [float(value) for value in corrected]
