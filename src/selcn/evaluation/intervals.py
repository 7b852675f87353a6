"""95 % intervals from a bootstrap that resamples whole lesions."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd

from selcn.errors import ConfigError
from selcn.evaluation.predictions import FloatArray, IntArray
from selcn.labels import TEST

Part = Literal["test", "validation"]
Statistic = Callable[[FloatArray], dict[str, FloatArray]]
"""Image weights (B, N), one row a resample, to (B,) values of each metric; NaN where a metric is undefined."""

RESAMPLES = 2_000
_PERCENTILES = (2.5, 97.5)
_BATCH_CELLS = 1_000_000  # weights held at once, 8 MB: bounds memory to a small multiple of that


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval.

    Attributes:
        value: of the metric, on all images.
        low: lower bound, NaN without an interval.
        high: upper bound, NaN without an interval.
    """

    value: float
    low: float
    high: float


def bootstrap(
    statistic: Statistic, groups: pd.Series, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Estimate]:
    """Return percentile intervals of a statistic under resampling of whole groups (Field & Welsh 2007).

    A resample has as many groups as there are, sampled with replacement; a group sampled k times gives its images
    weight k. The value itself is the statistic at weight 1. Resamples in which a metric is undefined are left out of
    its percentiles. There is no interval of a metric whose value is undefined, nor of a single group.

    Args:
        statistic: see :data:`Statistic`.
        groups: group of each image, (N,).
        resamples: number of resamples B, at least 1.
        seed: of the resampling; the same seed and groups give the same resamples.

    Returns:
        Estimates by metric.

    Raises:
        ConfigError: ``resamples`` is below 1.
    """
    if resamples < 1:
        raise ConfigError(f"resamples is {resamples}; ask for at least 1, customarily {RESAMPLES}")
    codes, names = pd.factorize(groups)
    values = statistic(np.ones((1, len(codes))))
    batches = [statistic(weights) for weights in _drawn_weights(codes, len(names), resamples, seed)]
    samples = {metric: np.concatenate([batch[metric] for batch in batches]) for metric in values}
    return {metric: _estimate(float(values[metric][0]), samples[metric], len(names)) for metric in values}


def draw_groups(groups: int, resamples: int, generator: np.random.Generator) -> IntArray:
    """Return how often each group is in each resample: counts (B, G) whose rows sum to G.

    Args:
        groups: number of groups G.
        resamples: number of resamples B.
        generator: to sample from.
    """
    drawn = generator.integers(groups, size=(resamples, groups))
    cells = drawn + groups * np.arange(resamples)[:, None]
    return np.bincount(cells.ravel(), minlength=resamples * groups).reshape(resamples, groups)


def interval_table(
    table: pd.DataFrame, statistic_of: Callable[[pd.DataFrame], Statistic], *, resamples: int, seed: int
) -> pd.DataFrame:
    """Return estimates of every metric on the test subset and on the pooled out-of-fold (validation) rows.

    Args:
        table: with ``group`` and ``fold``, one row an image.
        statistic_of: makes the statistic of a subset from its rows.
        resamples: see :func:`bootstrap`.
        seed: see :func:`bootstrap`.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups``, one row a metric and subset.

    Raises:
        ConfigError: ``resamples`` is below 1.
    """
    rows = [
        {
            "metric": metric,
            "fold_part": part,
            **asdict(estimate),
            "images": len(rows),
            "groups": rows["group"].nunique(),
        }
        for part, rows in fold_parts(table).items()
        for metric, estimate in bootstrap(statistic_of(rows), rows["group"], resamples=resamples, seed=seed).items()
    ]
    return pd.DataFrame(rows)


def fold_parts(table: pd.DataFrame) -> dict[Part, pd.DataFrame]:
    """Return the subsets that a table has: the test rows, and the rows of all folds pooled as validation.

    Args:
        table: with ``fold``, one row an image.
    """
    is_test = table["fold"] == TEST
    parts: dict[Part, pd.DataFrame] = {"test": table[is_test], "validation": table[~is_test]}
    return {part: rows for part, rows in parts.items() if len(rows)}


def _drawn_weights(codes: IntArray, groups: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Image weights (b, N) of all resamples, a batch at a time."""
    generator = np.random.default_rng(seed)
    batch = max(1, _BATCH_CELLS // len(codes))
    for done in range(0, resamples, batch):
        yield draw_groups(groups, min(batch, resamples - done), generator)[:, codes].astype(np.float64)


def _estimate(value: float, samples: FloatArray, groups: int) -> Estimate:
    defined = samples[~np.isnan(samples)]
    if np.isnan(value) or groups < 2 or not defined.size:
        return Estimate(value, np.nan, np.nan)
    low, high = np.percentile(defined, _PERCENTILES)
    return Estimate(value, float(low), float(high))
