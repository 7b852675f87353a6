"""Whether one method is better than another when both are trained with several seeds: lesions and seeds vary apart."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from selcn.errors import ConfigError
from selcn.evaluation.comparison import aligned, all_metrics_of, decision_metrics_of, difference_on
from selcn.evaluation.decisions import check_prevalence
from selcn.evaluation.further import NOTHING, Further
from selcn.evaluation.intervals import RESAMPLES, Statistic, fold_parts, interval_table
from selcn.evaluation.predictions import FloatArray, Predictions, as_predictions
from selcn.evaluation.significance import permutation_test
from selcn.labels import LabelSet

Source = Path | str | Predictions


def compare_seeds(
    a: Sequence[Source],
    b: Sequence[Source],
    *,
    labels: LabelSet | None = None,
    further: Further | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the mean over seeds of the paired differences B - A of every metric, with two intervals.

    ``low, high`` resample lesions, the same for every seed, and hold the trained networks fixed. ``low_seeds,
    high_seeds`` also count that other seeds would have given other networks: half a t interval of the seeds' mean is
    added in quadrature (MOVER, Zou & Donner 2008). The seeds' differences vary with the finite test set, too, which the
    interval of lesions holds already, so that the second interval is rather too wide.

    Args:
        a: A's prediction files or predictions, one a seed.
        b: B's, of the same seeds in the same order, images and classes.
        labels: the label set; None for that of the first of ``a``.
        further: which metrics are compared besides the usual ones; None for none.
        resamples: number of bootstrap resamples and of permutations, at least 1.
        seed: of the bootstrap and of the permutations.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups, p, seeds, seed_sd, low_seeds, high_seeds``.
        ``seed_sd`` is the standard deviation of the seeds' differences; NaN for one seed, as the second interval is.
        ``p`` is of a permutation test by lesion that exchanges a lesion in all seeds at once.

    Raises:
        DataError: a file is wrong, or they differ in classes (the costs too), images, truths, groups or folds.
        ConfigError: ``resamples`` is below 1, a prevalence is of no class, or A and B have not as many seeds, or none.
    """
    if not a or len(a) != len(b):
        raise ConfigError(f"A has {len(a)} seeds, B {len(b)}; give as many of both, at least one")
    base, asked = _first_of(a, labels, further)
    firsts, seconds = ([aligned(as_predictions(one, labels), base) for one in method] for method in (a, b))

    def differences(rows: pd.DataFrame) -> list[Statistic]:
        return [difference_on(*pair, rows, asked) for pair in zip(firsts, seconds, strict=True)]

    table = interval_table(base.table, lambda rows: mean_statistic(differences(rows)), resamples=resamples, seed=seed)
    found, decisions_of = [], partial(decision_metrics_of, asked=asked)
    for part, rows in fold_parts(base.table).items():
        own = table[table["fold_part"] == part]
        of_a, of_b = ([_rows(one, rows.index) for one in method] for method in (firsts, seconds))
        p = permutation_test(of_a, of_b, decisions_of, permutations=resamples, seed=seed)
        found.append(_with_spread(own.assign(p=own["metric"].map(p)), differences(rows), len(rows)))
    return pd.concat(found, ignore_index=True)


def evaluate_seeds(
    sources: Sequence[Source],
    *,
    labels: LabelSet | None = None,
    further: Further | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the mean over seeds of every metric of one method, with the two intervals of :func:`compare_seeds`.

    Args:
        sources: prediction files or predictions, one a seed, of the same images.
        labels: the label set; None for that of the first.
        further: which metrics are given besides the usual ones; None for none.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups, seeds, seed_sd, low_seeds, high_seeds``.

    Raises:
        DataError: a file is wrong, they differ in classes, images, truths, groups or folds, or costs are of other
            classes.
        ConfigError: ``resamples`` is below 1, there is no seed, or a prevalence is of no class.
    """
    if not sources:
        raise ConfigError("there are no seeds; give predictions of at least one")
    base, asked = _first_of(sources, labels, further)
    several = [aligned(as_predictions(one, labels), base) for one in sources]

    def metrics(rows: pd.DataFrame) -> list[Statistic]:
        return [all_metrics_of(_rows(one, rows.index), asked) for one in several]

    table = interval_table(base.table, lambda rows: mean_statistic(metrics(rows)), resamples=resamples, seed=seed)
    parts = fold_parts(base.table)
    found = [_with_spread(table[table["fold_part"] == part], metrics(rows), len(rows)) for part, rows in parts.items()]
    return pd.concat(found, ignore_index=True)


def _first_of(
    sources: Sequence[Source], labels: LabelSet | None, further: Further | None
) -> tuple[Predictions, Further]:
    """The first seed's predictions, and the metrics asked for, which must be of its classes."""
    base, asked = as_predictions(sources[0], labels), further or NOTHING
    check_prevalence(asked.prevalence, base.labels)
    return base, asked


def _rows(predictions: Predictions, rows: pd.Index) -> Predictions:
    return Predictions(predictions.labels, predictions.table.loc[rows])


def mean_statistic(statistics: Sequence[Statistic]) -> Statistic:
    """The mean of several statistics of the same images, metric by metric.

    Args:
        statistics: at least one.
    """

    def mean(weights: FloatArray) -> dict[str, FloatArray]:
        values = [statistic(weights) for statistic in statistics]
        return {metric: np.mean([one[metric] for one in values], axis=0) for metric in values[0]}

    return mean


def _with_spread(table: pd.DataFrame, differences: Sequence[Statistic], images: int) -> pd.DataFrame:
    """With the spread between seeds, and the interval that counts it."""
    by_seed = pd.DataFrame([{k: v[0] for k, v in one(np.ones((1, images))).items()} for one in differences])
    deviation = table["metric"].map(by_seed.std(ddof=1))
    seeds = len(by_seed)
    half = deviation * (student.ppf(0.975, seeds - 1) / np.sqrt(seeds) if seeds > 1 else np.nan)
    return table.assign(
        seeds=seeds,
        seed_sd=deviation,
        # Never the narrower one by rounding, where all seeds agree.
        low_seeds=np.minimum(table["low"], table["value"] - np.hypot(table["value"] - table["low"], half)),
        high_seeds=np.maximum(table["high"], table["value"] + np.hypot(table["high"] - table["value"], half)),
    )
