"""Metrics of corrupted images beside those of the same images without corruption, with intervals by lesion."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from selcn.errors import DataError
from selcn.evaluation.calibration import calibration_metrics
from selcn.evaluation.classification import classification_metrics
from selcn.evaluation.intervals import RESAMPLES, Statistic, bootstrap
from selcn.evaluation.predictions import FloatArray, IntArray, Predictions
from selcn.evaluation.ranking import fraction
from selcn.labels import LabelSet

UNCORRUPTED = "clean"
"""The `corruption` of the images as they are."""
MEAN, ALL_CORRUPTIONS = "mean", "all"
"""The `severity` that averages over severities, and the `corruption` that averages over corruptions."""
PER_IMAGE = {"abstained": "abstained", "covered": "coverage", "set_size": "set_size", "saliency": "saliency_stability"}
"""Columns whose means over images are metrics, and the names of these; a column without any value is left out."""
_HARD = ("balanced_accuracy", "accuracy")
_SEPARATOR = "\t"
_DIFFERENCE = "difference"


def robustness_table(
    scores: pd.DataFrame, labels: LabelSet, *, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Return each metric under each corruption and severity, and its difference from that of the clean images.

    - `balanced_accuracy`, `accuracy`, `ece`: as of any predictions;
    - `abstained`: share of images on which the bundle abstains;
    - `coverage`, `set_size`: of the bundle's prediction sets;
    - `saliency_stability`: mean rank correlation (Spearman) of the map with the clean image's, of the same class.

    Args:
        scores: one row an image, corruption and severity: ``image_id, group, truth, corruption, severity``, a column of
            probabilities for each class, ``predicted`` where that is not the most probable one, and any of
            `PER_IMAGE`, NaN where undefined. Every image has all rows.
        labels: the label set.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap, which resamples lesions, the same ones for all conditions: differences are paired.

    Returns:
        Columns ``corruption, severity, metric, value, low, high, difference, difference_low, difference_high, images,
        groups``; `MEAN` averages over the severities of a corruption, `ALL_CORRUPTIONS` over all corruptions.

    Raises:
        DataError: no rows, no clean ones, or an image that lacks a condition.
        ConfigError: ``resamples`` is below 1.
    """
    conditions = _conditions(scores)
    first = conditions[UNCORRUPTED, 0]
    statistic = _statistic(conditions, labels)
    found = bootstrap(statistic, first["group"], resamples=resamples, seed=seed)
    counts = {"images": len(first), "groups": first["group"].nunique()}
    rows: list[tuple[object, ...]] = []
    for key, estimate in found.items():
        corruption, severity, metric, *of_difference = key.split(_SEPARATOR)
        if of_difference:
            continue
        other = found.get(_key(corruption, severity, metric, _DIFFERENCE))
        difference = (other.value, other.low, other.high) if other else (np.nan,) * 3
        rows.append((corruption, severity, metric, estimate.value, estimate.low, estimate.high, *difference))
    ends = ("", "_low", "_high")
    columns = ["corruption", "severity", "metric", "value", "low", "high", *(f"{_DIFFERENCE}{end}" for end in ends)]
    return pd.DataFrame(rows, columns=columns).assign(**counts)


def _conditions(scores: pd.DataFrame) -> dict[tuple[str, int], pd.DataFrame]:
    """The rows of each corruption and severity, images in one order."""
    if scores.empty or not (scores["corruption"] == UNCORRUPTED).any():
        raise DataError("robustness: no rows of clean images; write them with `selcn robustness`")
    found = {
        (str(corruption), int(str(severity))): rows.sort_values("image_id", kind="stable").reset_index(drop=True)
        for (corruption, severity), rows in scores.groupby(["corruption", "severity"], sort=False)
    }
    images = found[UNCORRUPTED, 0]["image_id"].tolist()
    for (corruption, severity), rows in found.items():
        if rows["image_id"].tolist() != images:
            raise DataError(f"robustness: {corruption} {severity} is not of the clean images; write it anew")
    return found


def _statistic(conditions: Mapping[tuple[str, int], pd.DataFrame], labels: LabelSet) -> Statistic:
    first = conditions[UNCORRUPTED, 0]
    truth = pd.Categorical(first["truth"], categories=labels.names).codes.astype(np.int64)
    corruptions = [name for name in dict.fromkeys(name for name, _ in conditions) if name != UNCORRUPTED]

    columns = [column for column in PER_IMAGE if column in first and first[column].notna().any()]

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        clean = _metrics(first, truth, labels, columns, weights)
        found = {_key(UNCORRUPTED, "0", metric): values for metric, values in clean.items()}
        measured = {
            key: _metrics(rows, truth, labels, columns, weights)
            for key, rows in conditions.items()
            if key[0] != UNCORRUPTED
        }
        for name, severity, keys in _groups(list(measured), corruptions):
            for metric, own in clean.items():
                values = np.mean([measured[key][metric] for key in keys], axis=0)
                found[_key(name, severity, metric)] = values
                found[_key(name, severity, metric, _DIFFERENCE)] = values - own
        return found

    return statistic


def _groups(keys: list[tuple[str, int]], corruptions: list[str]) -> Iterator[tuple[str, str, list[tuple[str, int]]]]:
    """Every corruption and severity, then what is averaged over either or both, with the conditions of each."""
    for corruption in corruptions:
        own = [key for key in keys if key[0] == corruption]
        yield from ((corruption, str(key[1]), [key]) for key in own)
        yield corruption, MEAN, own
    for severity in sorted({severity for _, severity in keys}):
        yield ALL_CORRUPTIONS, str(severity), [key for key in keys if key[1] == severity]
    if keys:
        yield ALL_CORRUPTIONS, MEAN, keys


def _metrics(
    rows: pd.DataFrame, truth: IntArray, labels: LabelSet, columns: Sequence[str], weights: FloatArray
) -> dict[str, FloatArray]:
    predictions = Predictions(labels, rows)
    probabilities, predicted = predictions.probabilities, predictions.predicted
    hard = classification_metrics(truth, probabilities, labels, weights, hard=True, predicted=predicted)
    found = {name: hard[name] for name in _HARD}
    found["ece"] = calibration_metrics(truth, probabilities, predicted, weights)["ece"]
    for column in columns:
        defined = rows[column].notna().to_numpy(dtype=np.float64)
        values = rows[column].fillna(0).to_numpy(dtype=np.float64)
        found[PER_IMAGE[column]] = fraction(weights @ values, weights @ defined)
    return found


def _key(*parts: str) -> str:
    return _SEPARATOR.join(parts)
