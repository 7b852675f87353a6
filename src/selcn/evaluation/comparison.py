"""Whether one classifier is better than another on the same images."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.errors import DataError
from selcn.evaluation.classification import hard_metrics_of, metrics_of
from selcn.evaluation.decisions import check_prevalence
from selcn.evaluation.further import NOTHING, Further, further_metrics_of
from selcn.evaluation.intervals import RESAMPLES, Estimate, Part, Statistic, fold_parts, interval_table
from selcn.evaluation.predictions import FloatArray, Predictions, as_predictions
from selcn.evaluation.registry import metric_spec
from selcn.evaluation.significance import mcnemar, permutation_test
from selcn.labels import LabelSet

_NAMED_IMAGES = 3


def on_shared_images(*several: Predictions) -> list[Predictions]:
    """Return the predictions of the images that all hold: measured symmetry is undefined for some masks.

    Args:
        *several: of any images.
    """
    shared = set.intersection(*(set(one.table["image_id"]) for one in several))
    return [
        Predictions(one.labels, one.table[one.table["image_id"].isin(shared)].reset_index(drop=True)) for one in several
    ]


def compare(
    a: Path | str | Predictions,
    b: Path | str | Predictions,
    *,
    labels: LabelSet | None = None,
    further: Further | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the paired difference B - A of every metric, both scored on the same resampled lesions, with tests of it.

    ``p`` is of a permutation test by lesion, for metrics of decisions: those that need the predicted classes only, and
    of ``further`` net benefit and expected costs; ``p_mcnemar``, for accuracy only, is of McNemar's exact test.

    Args:
        a: a prediction file, or predictions.
        b: another of the same images and classes, in any order.
        labels: the label set; None for A's own, or to resolve it from A's file.
        further: which metrics are compared besides the usual ones; None for none.
        resamples: number of bootstrap resamples and of permutations, at least 1.
        seed: of the bootstrap and of the permutations.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups, p, p_mcnemar``. Positive values
        favour A or B by the metric's direction in the registry.

    Raises:
        DataError: a file is wrong, the two differ in classes, images, truths, groups or folds, or costs are of other
            classes.
        ConfigError: ``resamples`` is below 1, or a prevalence is of no class.

    Example:
        >>> a = pd.DataFrame({"asymmetric": [0.9, 0.6, 0.3], "symmetric": [0.1, 0.4, 0.7]})
        >>> a = a.assign(image_id=["a", "b", "c"], group=["one", "one", "two"], fold="test")
        >>> a = a.assign(truth=["asymmetric", "symmetric", "symmetric"])
        >>> b = a.assign(asymmetric=[0.9, 0.2, 0.3], symmetric=[0.1, 0.8, 0.7])
        >>> metrics = compare(Predictions.of(a), Predictions.of(b), resamples=100).set_index("metric")
        >>> metrics.loc["accuracy", ["value", "p_mcnemar"]].round(4).tolist()
        [0.3333, 1.0]
    """
    first, asked = as_predictions(a, labels), further or NOTHING
    second = aligned(as_predictions(b, labels), first)
    check_prevalence(asked.prevalence, first.labels)
    differences = partial(difference_on, first, second, asked=asked)
    table = interval_table(first.table, differences, resamples=resamples, seed=seed)
    parts = fold_parts(first.table)
    tests = {part: _tests(first, second, rows.index, asked, resamples, seed) for part, rows in parts.items()}
    return _with_tests(table, tests)


def difference_on(first: Predictions, second: Predictions, part: pd.DataFrame, asked: Further = NOTHING) -> Statistic:
    """Return the statistic of every metric's difference, second minus first, on some rows.

    Args:
        first: of N images.
        second: of the same images in the same order.
        part: those rows, of either's table.
        asked: which metrics besides the usual ones.
    """
    of_a = all_metrics_of(Predictions(first.labels, first.table.loc[part.index]), asked)
    of_b = all_metrics_of(Predictions(first.labels, second.table.loc[part.index]), asked)

    def difference(weights: FloatArray) -> dict[str, FloatArray]:
        values_a, values_b = of_a(weights), of_b(weights)
        return {metric: values_b[metric] - values_a[metric] for metric in values_a if metric in values_b}

    return difference


def all_metrics_of(predictions: Predictions, asked: Further = NOTHING) -> Statistic:
    """Return the statistic of the usual metrics and of those asked for.

    Args:
        predictions: of the N images that the statistic takes weights of.
        asked: which metrics besides the usual ones.
    """
    usual = metrics_of(predictions)
    return _both(usual, further_metrics_of(predictions, asked)) if asked else usual


def decision_metrics_of(predictions: Predictions, asked: Further = NOTHING) -> Statistic:
    """Return the statistic of those metrics that are of decisions, which a permutation test is made for.

    Args:
        predictions: of the N images that the statistic takes weights of.
        asked: which metrics besides the usual ones; those of calibration are left out.
    """
    usual = hard_metrics_of(predictions)
    return _both(usual, further_metrics_of(predictions, asked, calibration=False)) if asked else usual


def _both(usual: Statistic, more: Statistic) -> Statistic:
    return lambda weights: usual(weights) | more(weights)


def _with_tests(table: pd.DataFrame, tests: Mapping[Part, tuple[dict[str, float], float]]) -> pd.DataFrame:
    """Differences with P of the tests of their subset, see `_tests`; NaN for metrics without a test."""
    keys = list(zip(table["fold_part"], table["metric"], strict=True))
    p_values = [tests[part][0].get(metric, np.nan) for part, metric in keys]
    mcnemars = [tests[part][1] if metric == "accuracy" else np.nan for part, metric in keys]
    return table.assign(p=p_values, p_mcnemar=mcnemars)


def _tests(
    first: Predictions, second: Predictions, rows: pd.Index, asked: Further, permutations: int, seed: int
) -> tuple[dict[str, float], float]:
    """P of each metric by permutation, and McNemar's, on some rows."""
    a, b = (Predictions(one.labels, one.table.loc[rows]) for one in (first, second))
    right_a, right_b = (one.predicted == one.truth for one in (a, b))
    statistic_of = partial(decision_metrics_of, asked=asked)
    return permutation_test([a], [b], statistic_of, permutations=permutations, seed=seed), mcnemar(right_a, right_b)


def verdict(difference: Estimate, metric: str, a: str = "A", b: str = "B", *, bounds: float | None = None) -> str:
    """Return one sentence on what the difference ``b`` - ``a`` of a metric shows.

    Args:
        difference: with its interval.
        metric: name of the metric, as in the column `metric`.
        a: name of the one classifier.
        b: name of the other.
        bounds: largest difference that does not matter, in the metric's unit, stated before; None for no such bound.

    Raises:
        ConfigError: no such metric is registered.
    """
    spec = metric_spec(metric)
    if np.isnan(astuple(difference)).any():
        return f"{spec.label}: no verdict; the difference or its interval is undefined on these images"
    scale, digits, unit = (100, 1, " points") if spec.unit == "fraction" else (1, 3, f" {spec.unit}".rstrip())
    value, low, high = (scale * number for number in astuple(difference))
    if low <= 0 <= high:
        allowed = f"{low:+z.{digits}f} to {high:+z.{digits}f}{unit}"
        if bounds is not None and -bounds <= difference.low and difference.high <= bounds:
            return f"{spec.label}: no difference that matters; the interval is {allowed}"
        return f"{spec.label}: no difference is shown; the interval allows {allowed}"
    higher, lower, (low, high) = (b, a, (low, high)) if low > 0 else (a, b, (-high, -low))
    named = lower if spec.direction == "lower" else higher
    found = "higher" if spec.direction == "neither" else "better"
    size = f"{abs(value):.{digits}f}{unit} (95 % interval {low:.{digits}f} to {high:.{digits}f})"
    return f"{spec.label}: {named} is {found} by {size}"


def aligned(b: Predictions, a: Predictions) -> Predictions:
    """Return B's rows and classes in A's order.

    Args:
        b: of any images.
        a: of any images.

    Raises:
        DataError: the two differ in classes, images, truths, groups or folds.
    """
    if sorted(a.classes) != sorted(b.classes):
        raise DataError(f"A has classes {', '.join(a.classes)}, B {', '.join(b.classes)}; compare like with like")
    return Predictions(a.labels, aligned_rows(b.table, a.table, ("truth", "group", "fold")))


def aligned_rows(b: pd.DataFrame, a: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return B's rows in the order of A's.

    Args:
        b: with ``image_id`` and the columns, one row an image.
        a: the same.
        columns: that must be alike.

    Raises:
        DataError: the two differ in images or in a column.
    """
    strangers = set(a["image_id"]) ^ set(b["image_id"])
    _refuse_any(sorted(strangers), "is in only one of A and B", "predict the same images with both")
    table = b.set_index("image_id").loc[a["image_id"]].reset_index()
    for column in columns:
        differs = (table[column] != a[column].reset_index(drop=True)).to_numpy()
        _refuse_any(list(table["image_id"][differs]), f"has another {column} in A than in B", "use one split for both")
    return table


def _refuse_any(image_ids: list[str], problem: str, remedy: str) -> None:
    if image_ids:
        more = f" (and {len(image_ids) - _NAMED_IMAGES} more)" if len(image_ids) > _NAMED_IMAGES else ""
        raise DataError(f"{', '.join(image_ids[:_NAMED_IMAGES])}{more} {problem}; {remedy}")
