"""Where a metric's variance comes from: the lesions that were sampled, the seed of the training, the training data.

Every member of every seed predicts the test subset. Members of one fold share their training data and differ by seed
alone; members of different folds were trained on other data. The variance of the members' metrics is divided by a
one-way analysis of variance with folds as random effect (Searle, Casella, McCulloch 1992, Variance Components, ch. 3).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from selcn.errors import ConfigError
from selcn.evaluation.classification import metrics_of
from selcn.evaluation.comparison import aligned, difference_on
from selcn.evaluation.intervals import RESAMPLES, Statistic, interval_table
from selcn.evaluation.predictions import FloatArray, Predictions, as_predictions
from selcn.evaluation.seeds import Source, mean_statistic
from selcn.labels import LabelSet


def training_variance(
    members: Sequence[Sequence[Source]],
    against: Sequence[Sequence[Source]] | None = None,
    *,
    labels: LabelSet | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the mean over single members of every metric, or paired difference, and its sources of variance.

    ``lesion_sd`` is the width of the interval that resamples lesions, in standard deviations. ``seed_sd`` is the
    standard deviation between seeds of one fold, ``fold_sd`` that between folds with the seeds' share taken off (0
    where nothing is left). ``low_training, high_training`` count all three: to the interval of lesions, half a t
    interval of the mean over folds is added in quadrature (MOVER, Zou & Donner 2008). Training data of folds overlap,
    so that other data would vary more.

    Args:
        members: test predictions of each member, by seed, then by fold; of one set of images.
        against: those of the method that is taken off, by the same seeds and folds; None for the metrics themselves.
        labels: the label set; None for that of the first.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups, seeds, folds, lesion_sd, seed_sd, fold_sd,
        low_training, high_training``. ``seed_sd`` and ``fold_sd`` are NaN for one seed, the interval for one fold.

    Raises:
        DataError: a file is wrong, or they differ in classes, images, truths, groups or folds.
        ConfigError: ``resamples`` is below 1, or seeds have not as many members.
    """
    folds = {len(of_seed) for of_seed in [*members, *(against or [])]}
    if len(folds) != 1 or folds == {0} or (against is not None and len(against) != len(members)):
        raise ConfigError("members differ in number between seeds or methods; give every fold of every seed")
    base = as_predictions(members[0][0], labels)
    statistics = [
        [_statistic(base, one, None if against is None else against[s][k], labels) for k, one in enumerate(of_seed)]
        for s, of_seed in enumerate(members)
    ]
    flat = [one for of_seed in statistics for one in of_seed]
    table = interval_table(base.table, lambda _: mean_statistic(flat), resamples=resamples, seed=seed)
    weights = np.ones((1, len(base.table)))
    values = [[one(weights) for one in of_seed] for of_seed in statistics]
    return _with_components(table.assign(seeds=len(members), folds=folds.pop()), values)


def _with_components(table: pd.DataFrame, values: Sequence[Sequence[dict[str, FloatArray]]]) -> pd.DataFrame:
    """The table with standard deviations of lesions, seeds and folds, and the interval that counts all."""
    found = [
        components(np.array([[float(one[metric][0]) for one in of_seed] for of_seed in values]))
        for metric in table["metric"]
    ]
    seed_sd, fold_sd, half = (np.array(column) for column in zip(*found, strict=True))
    value, low, high = (table[name] for name in ("value", "low", "high"))
    return table.assign(
        lesion_sd=(high - low) / (2 * norm.ppf(0.975)),
        seed_sd=seed_sd,
        fold_sd=fold_sd,
        low_training=value - np.hypot(value - low, half),
        high_training=value + np.hypot(high - value, half),
    )


def components(values: FloatArray) -> tuple[float, float, float]:
    """Standard deviation between seeds of a fold and between folds, and half the t interval of the mean over folds.

    Args:
        values: of a metric, (S, K), by seed and fold; NaN gives NaN.
    """
    seeds, folds = values.shape
    of_fold = values.mean(axis=0)
    between = seeds * of_fold.var(ddof=1) if folds > 1 else np.nan
    half = float(student.ppf(0.975, folds - 1) * np.sqrt(between / (seeds * folds))) if folds > 1 else np.nan
    if seeds < 2:
        return np.nan, np.nan, half
    within = float(((values - of_fold) ** 2).sum() / (folds * (seeds - 1)))
    apart = float(np.sqrt(max(0.0, (between - within) / seeds))) if not np.isnan(between) else np.nan
    return float(np.sqrt(within)), apart, half


def _statistic(base: Predictions, one: Source, other: Source | None, labels: LabelSet | None) -> Statistic:
    member = aligned(as_predictions(one, labels), base)
    if other is None:
        return metrics_of(member)
    return difference_on(aligned(as_predictions(other, labels), base), member, base.table)
