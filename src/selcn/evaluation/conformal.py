"""Prediction sets that hold the truth with a stated coverage, class by class (Mondrian conformal prediction)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from selcn.errors import ConfigError, DataError
from selcn.evaluation.intervals import RESAMPLES, bootstrap
from selcn.evaluation.predictions import BoolArray, FloatArray, Predictions
from selcn.evaluation.ranking import fraction
from selcn.evaluation.subgroups import subgroups
from selcn.labels import TEST

_ROUNDING = 1e-9  # of a sum of weights


@dataclass(frozen=True)
class PredictionSets:
    """The lowest probability at which each class is in an image's set.

    Attributes:
        coverage: wanted share of the images of each class whose set holds the truth.
        thresholds: lowest probability of each class, by its name in class order.
        lesions: number of lesions that each threshold comes from.
    """

    coverage: float
    thresholds: dict[str, float]
    lesions: dict[str, int]

    def of(self, probabilities: FloatArray) -> BoolArray:
        """Return which classes are in each image's set, (N, C); a set may be empty.

        Args:
            probabilities: (N, C), of the model whose out-of-fold predictions the thresholds come from.
        """
        return np.asarray(probabilities >= np.asarray(list(self.thresholds.values())), dtype=np.bool_)


def fit_prediction_sets(predictions: Predictions, coverage: float) -> PredictionSets:
    """Fit a threshold for each class to the out-of-fold lesions of that class; the test subset is not used.

    With the score 1 - p(truth) (Sadinle, Lei & Wasserman 2019), the images of a lesion share its weight 1 / (n + 1),
    where n lesions have the class; the threshold is the quantile of the weighted scores at the coverage, the remaining
    1 / (n + 1) lying at infinity. An image of a new lesion of the class is then covered with at least that
    probability, if its lesion is exchangeable with those of the folds (Lee, Barber & Willett 2023, arXiv:2306.06342;
    with one image a lesion it is split conformal prediction, Vovk et al. 2005).

    Args:
        predictions: with rows of the validation folds.
        coverage: above 0 and below 1.

    Raises:
        ConfigError: the coverage is out of range, or a class has too few lesions for it.
        DataError: there are no validation rows.
    """
    if not 0 < coverage < 1:
        raise ConfigError(f"coverage is {coverage:g}; give a share above 0 and below 1, for example 0.9")
    rows = predictions.table[predictions.table["fold"] != TEST]
    if rows.empty:
        raise DataError("no validation rows to fit prediction sets on; give predictions with the folds' own rows")
    of_class = {name: rows.loc[rows["truth"] == name, ["group", name]] for name in predictions.classes}
    lesions = {name: int(one["group"].nunique()) for name, one in of_class.items()}
    _refuse_unreachable(coverage, lesions)
    thresholds = {name: _threshold(one[name], one["group"], coverage) for name, one in of_class.items()}
    return PredictionSets(coverage, thresholds, lesions)


def alarm_threshold(values: FloatArray, groups: "pd.Series[str]", false_alarms: float) -> float:
    """Return the lowest threshold that an image of a new lesion exceeds with at most a stated probability.

    As of :func:`fit_prediction_sets`, the images of each of the n lesions share its weight 1 / (n + 1).

    Args:
        values: (N,), of images that the model was not trained on.
        groups: lesion of each image, (N,).
        false_alarms: the probability, above 0 and below 1.

    Raises:
        ConfigError: the probability is out of range, or there are too few lesions for it.
    """
    if not 0 < false_alarms < 1:
        raise ConfigError(f"false alarms: {false_alarms:g} is no rate; give a share above 0 and below 1, such as 0.01")
    lesions = groups.nunique()
    if lesions / (lesions + 1) < 1 - false_alarms - _ROUNDING:
        least = np.ceil(1000 / (lesions + 1)) / 1000
        raise ConfigError(
            f"false alarms: a rate of {false_alarms:g} needs {np.ceil(1 / false_alarms - 1):.0f} out-of-fold lesions, "
            f"but there are {lesions}; ask for {least:g} at least"
        )
    return -_threshold(pd.Series(-values), groups, 1 - false_alarms)


def prediction_set_table(
    predictions: Predictions,
    sets: PredictionSets | float,
    facts: pd.DataFrame | None = None,
    columns: Sequence[str] = (),
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return coverage and size of prediction sets on the test subset with 95 % intervals by lesion.

    What the sets guarantee of each class is `coverage_by_lesion`: the mean over lesions of the covered share of a
    lesion's images, as :func:`fit_prediction_sets` weighs them. In `coverage` every image weighs alike.

    Args:
        predictions: of the test subset and, where sets are to be fitted, out of fold.
        sets: fitted ones, such as a bundle's; or a coverage above 0 and below 1, for which they are fitted out of fold.
        facts: one row an image with ``image_id`` and the columns, for example a catalog; None for no subgroups.
        columns: what to group by besides class; some are banded, see `selcn.evaluation.subgroups`.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Returns:
        A row for all images, each class and each subgroup: ``subgroup, of, images, groups, coverage, coverage_low,
        coverage_high, coverage_by_lesion, coverage_by_lesion_low, coverage_by_lesion_high, set_size, set_size_low,
        set_size_high, empty_sets``, and of a class ``threshold`` and ``lesions``, which it comes from. NaN for a class
        without test images.

    Raises:
        ConfigError: see :func:`fit_prediction_sets`; the sets are of other classes; or ``resamples`` is below 1.
        DataError: there are no validation or no test rows, a column is missing, or images are not in ``facts``.
    """
    sets = _checked(sets, predictions)
    rows = predictions.table[predictions.table["fold"] == TEST].reset_index(drop=True)
    if rows.empty:
        raise DataError("no test rows to measure prediction sets on; give predictions with a test subset")
    scored = _scored(Predictions(predictions.labels, rows), sets)
    named = [] if facts is None else subgroups(rows, facts, columns)
    parts = [
        ("all", "all", scored),
        *(("class", name, scored[rows["truth"] == name]) for name in predictions.classes),
        *((of, name, scored.loc[chosen.index]) for of, name, chosen in named),
    ]
    found = pd.DataFrame([{"subgroup": name, "of": of, **_measured(one, resamples, seed)} for of, name, one in parts])
    is_class = found["of"] == "class"
    for column, values in (("threshold", sets.thresholds), ("lesions", sets.lesions)):
        found[column] = found["subgroup"].map(values).where(is_class)
    return found


def _scored(test: Predictions, sets: PredictionSets) -> pd.DataFrame:
    """Of each image its group, whether its set holds the truth, the set's size, and whether it is empty."""
    held = sets.of(test.probabilities)
    size = held.sum(axis=1)
    covered = held[np.arange(len(held)), test.truth]
    return test.table[["group"]].assign(coverage=covered, set_size=size, empty_sets=size == 0)


def _checked(sets: PredictionSets | float, predictions: Predictions) -> PredictionSets:
    """Sets of the classes that are predicted, fitted out of fold where a coverage is given."""
    if not isinstance(sets, PredictionSets):
        return fit_prediction_sets(predictions, sets)
    if list(sets.thresholds) != predictions.classes:
        own, others = ", ".join(predictions.classes), ", ".join(sets.thresholds)
        raise ConfigError(f"the sets are of {others}, but the predictions of {own}; give both of one network")
    return sets


def _threshold(probabilities: "pd.Series[float]", groups: "pd.Series[str]", coverage: float) -> float:
    """The highest probability at or above which weights of at least the coverage lie."""
    own, codes = probabilities.to_numpy(dtype=np.float64), pd.factorize(groups)[0]
    images = np.bincount(codes)
    order = np.argsort(-own, kind="stable")
    covered = np.cumsum((1 / images[codes])[order]) / (len(images) + 1)
    return float(own[order][np.argmax(covered >= coverage - _ROUNDING)])


def _refuse_unreachable(coverage: float, lesions: dict[str, int]) -> None:
    few = {name: count for name, count in lesions.items() if count / (count + 1) < coverage - _ROUNDING}
    if few:
        counts = ", ".join(f"{name} has {count}" for name, count in few.items())
        needed, least = int(np.ceil(coverage / (1 - coverage) - _ROUNDING)), min(few.values())
        reachable = np.floor(1000 * least / (least + 1)) / 1000
        most = f"ask for {reachable:g} at most" if least else "give predictions of classes that occur"
        raise ConfigError(f"coverage {coverage:g} needs {needed} out-of-fold lesions a class, but {counts}; {most}")


def _measured(scored: pd.DataFrame, resamples: int, seed: int) -> dict[str, float]:
    names = ["coverage", "set_size", "empty_sets"]
    values = scored[names].to_numpy(dtype=np.float64)
    of_lesion = 1 / scored.groupby("group")["group"].transform("size").to_numpy(dtype=np.float64)

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        means = fraction(weights @ values, np.repeat(weights.sum(axis=1, keepdims=True), len(names), axis=1))
        by_lesion = weights * of_lesion
        covered = fraction(by_lesion @ values[:, 0], by_lesion.sum(axis=1))
        return {**dict(zip(names, means.T, strict=True)), "coverage_by_lesion": covered}

    counts = {"images": len(scored), "groups": scored["group"].nunique()}
    bounded = ("coverage", "coverage_by_lesion", "set_size")
    if scored.empty:
        ends = [f"{name}{end}" for name in bounded for end in ("", "_low", "_high")]
        return counts | dict.fromkeys([*ends, "empty_sets"], np.nan)
    found = bootstrap(statistic, scored["group"], resamples=resamples, seed=seed)
    intervals = {
        f"{name}{end}": getattr(found[name], key)
        for name in bounded
        for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))
    }
    return counts | intervals | {"empty_sets": found["empty_sets"].value}
