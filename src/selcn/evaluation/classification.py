"""Metrics of class probabilities, for any number of image weightings at once."""

from pathlib import Path

import numpy as np
import pandas as pd

from selcn.errors import DataError
from selcn.evaluation.calibration import calibration_metrics
from selcn.evaluation.intervals import RESAMPLES, Part, Statistic, fold_parts, interval_table
from selcn.evaluation.predictions import BoolArray, FloatArray, IntArray, Predictions, as_predictions
from selcn.evaluation.ranking import auc, average_precision, count_above, fraction, sensitivity_at
from selcn.evaluation.registry import REGISTERED
from selcn.labels import LabelSet

SPECIFICITIES = (90, 95)
"""Specificities, in per cent, at which the sensitivity is reported."""


def evaluate_classification(
    source: Path | Predictions, *, labels: LabelSet | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Return every metric of class probabilities with its 95 % interval, resampled by lesion.

    Args:
        source: a prediction file, or predictions.
        labels: the label set; None for the predictions' own, or to resolve it from the file.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups``; for units see the metric registry. Validation
        pools the out-of-fold rows of all folds.

    Raises:
        DataError: the file is wrong.
        ConfigError: ``resamples`` is below 1.

    Example:
        >>> table = pd.DataFrame({"asymmetric": [0.9, 0.6, 0.3], "symmetric": [0.1, 0.4, 0.7]})
        >>> table = table.assign(image_id=["a", "b", "c"], group=["one", "one", "two"], fold="test")
        >>> predictions = Predictions.of(table.assign(truth=["asymmetric", "symmetric", "symmetric"]))
        >>> metrics = evaluate_classification(predictions, resamples=100).set_index("metric")
        >>> metrics.loc["accuracy", ["value", "images", "groups"]].round(4).tolist()
        [0.6667, 3.0, 2.0]
    """
    predictions = as_predictions(source, labels)
    return interval_table(
        predictions.table,
        lambda rows: metrics_of(Predictions(predictions.labels, rows)),
        resamples=resamples,
        seed=seed,
    )


def confusion(predictions: Predictions, part: Part) -> pd.DataFrame:
    """Count images by truth (rows) and predicted class (columns), both in class order.

    Args:
        predictions: of any images.
        part: the subset, `test` or `validation`.

    Raises:
        DataError: the predictions have no rows in that subset.
    """
    parts = fold_parts(predictions.table)
    if part not in parts:
        raise DataError(f"no {part} rows in the predictions; ask for {', '.join(parts)}")
    chosen = Predictions(predictions.labels, parts[part])
    once = np.ones((1, len(chosen.table)))
    counts = confusion_matrices(chosen.truth, chosen.predicted, len(chosen.classes), once)[0]
    return pd.DataFrame(
        counts.astype(np.int64),
        index=pd.Index(chosen.classes, name="truth"),
        columns=pd.Index(chosen.classes, name="predicted"),
    )


def hard_metrics_of(predictions: Predictions) -> Statistic:
    """Return the statistic of those metrics that need the predicted classes only.

    Args:
        predictions: of the N images that the statistic takes weights of.
    """
    return _statistic(predictions, hard=True)


def metrics_of(predictions: Predictions) -> Statistic:
    """Return the statistic of all metrics, of hard labels (0 and 1) those that need the predicted classes only.

    Args:
        predictions: of the N images that the statistic takes weights of.
    """
    return _statistic(predictions, hard=bool(np.isin(predictions.probabilities, (0, 1)).all()))


def _statistic(predictions: Predictions, *, hard: bool) -> Statistic:
    # Read once: the table's columns are not looked up again for every batch of resamples.
    truth, probabilities, predicted = predictions.truth, predictions.probabilities, predictions.predicted
    labels = predictions.labels
    return lambda weights: classification_metrics(truth, probabilities, labels, weights, hard=hard, predicted=predicted)


def classification_metrics(
    truth: IntArray,
    probabilities: FloatArray,
    labels: LabelSet,
    weights: FloatArray,
    *,
    hard: bool = False,
    predicted: IntArray | None = None,
) -> dict[str, FloatArray]:
    """Score N images under B weightings; equal to scikit-learn's metrics with ``sample_weight``.

    A class may be without weight in a weighting; then, as in scikit-learn,

    - balanced accuracy averages over the classes that have truth;
    - macro precision, recall and F1 average over the classes that have truth or predictions, where 0/0 counts 0;
    - macro AUC and macro average precision (one class against the rest) average over the classes that have both
      positives and negatives, and are NaN if there are none;
    - kappa is NaN when truth and prediction are all of one class;
    - the sensitivity and the AUC of a class without truth are NaN.

    An ordinal label set also has `weighted_kappa`, with quadratic weights (Cohen 1968). For metrics of `malignant` see
    :func:`one_against_rest`.

    Args:
        truth: class numbers (N,).
        probabilities: (N, C).
        labels: the label set of the C classes.
        weights: not negative, (B, N), each row with a positive sum.
        hard: whether to leave out what ranks or calibrates probabilities, because they are hard labels.
        predicted: numbers of the predicted classes (N,); None for the most probable ones, the first of them on a tie.

    Returns:
        Metric names to values (B,).
    """
    predicted = probabilities.argmax(axis=1) if predicted is None else predicted
    metrics = _hard_metrics(confusion_matrices(truth, predicted, len(labels.names), weights), labels)
    if hard:
        return metrics
    registered = {name: compute(truth, probabilities, labels, weights) for name, compute in REGISTERED.items()}
    return metrics | _soft_metrics(truth, probabilities, predicted, labels, weights) | registered


def _hard_metrics(matrices: FloatArray, labels: LabelSet) -> dict[str, FloatArray]:
    """Metrics of confusion matrices (B, C, C)."""
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    actual, predicted = matrices.sum(axis=2), matrices.sum(axis=1)
    recall, occurs = fraction(hits, actual), (actual + predicted) > 0
    precision, f1 = np.nan_to_num(fraction(hits, predicted)), fraction(2 * hits, actual + predicted)
    share = fraction(actual, np.repeat(actual.sum(axis=1, keepdims=True), len(labels.names), axis=1))
    steps = np.abs(np.subtract.outer(np.arange(len(labels.names)), np.arange(len(labels.names))))
    metrics = {
        "balanced_accuracy": _mean_where(recall, actual > 0),
        "kappa": _kappa(matrices, actual, predicted, np.sign(steps)),
        "macro_f1": _mean_where(f1, occurs),
        "accuracy": hits.sum(axis=1) / actual.sum(axis=1),
        "macro_precision": _mean_where(precision, occurs),
        "macro_recall": _mean_where(np.nan_to_num(recall), occurs),
        "weighted_precision": (share * precision).sum(axis=1),
        "weighted_recall": (share * np.nan_to_num(recall)).sum(axis=1),
        "weighted_f1": (share * np.nan_to_num(f1)).sum(axis=1),
    }
    if labels.ordinal:
        metrics["weighted_kappa"] = _kappa(matrices, actual, predicted, steps**2)
    return metrics | {f"sensitivity_{name}": recall[:, number] for number, name in enumerate(labels.names)}


def one_against_rest(
    truth: IntArray, probabilities: FloatArray, labels: LabelSet
) -> dict[str, tuple[FloatArray, BoolArray]]:
    """Return scores (N,) and which images are positive (N,) for each class against all others, by its name.

    The last is `malignant` against benign, by the sum of the malignant classes' probabilities, where the label set has
    malignant and other classes and none of them has this name.

    Args:
        truth: class numbers (N,).
        probabilities: (N, C).
        labels: the label set of the C classes.
    """
    sides = positive_classes(labels)
    return {name: (probabilities[:, own].sum(axis=1), own[truth]) for name, own in sides.items()}


def positive_classes(labels: LabelSet) -> dict[str, BoolArray]:
    """Return which classes (C,) are positive in each question of :func:`one_against_rest`, by its name.

    Args:
        labels: the label set of the C classes.
    """
    sides = dict(zip(labels.names, np.eye(len(labels.names), dtype=np.bool_), strict=True))
    malignant = np.isin(labels.names, labels.malignant)
    if malignant.any() and not malignant.all():
        sides.setdefault("malignant", malignant)
    return sides


def _soft_metrics(
    truth: IntArray, probabilities: FloatArray, predicted: IntArray, labels: LabelSet, weights: FloatArray
) -> dict[str, FloatArray]:
    """Metrics that need more of the probabilities than the predicted class."""
    questions = one_against_rest(truth, probabilities, labels)
    by_image = np.asfortranarray(weights)
    counts = {name: count_above(scores, positive, by_image) for name, (scores, positive) in questions.items()}
    areas = {name: (auc(one), average_precision(one)) for name, one in counts.items()}
    aucs, precisions = (
        np.stack(columns, axis=1) for columns in zip(*(areas[name] for name in labels.names), strict=True)
    )
    both_sides = ~np.isnan(aucs)
    metrics = {
        "macro_auc": _mean_where(aucs, both_sides),
        "macro_average_precision": _mean_where(np.nan_to_num(precisions), both_sides),
        "top_2_accuracy": fraction(weights @ _among_first(truth, probabilities, 2), weights.sum(axis=1)),
        **calibration_metrics(truth, probabilities, predicted, weights),
    }
    for name, one in counts.items():
        metrics[f"auc_{name}"], metrics[f"average_precision_{name}"] = areas[name]
        for percent in SPECIFICITIES:
            metrics[f"sensitivity_{name}_at_{percent}"] = sensitivity_at(one, percent / 100)
    return metrics


def confusion_matrices(truth: IntArray, predicted: IntArray, classes: int, weights: FloatArray) -> FloatArray:
    """Return the weight of each truth (axis 1) and predicted class (axis 2), (B, C, C).

    Args:
        truth: class numbers (N,).
        predicted: class numbers (N,).
        classes: their number C.
        weights: not negative, (B, N).
    """
    matrices: FloatArray = weights @ np.eye(classes**2)[truth * classes + predicted]
    return matrices.reshape(-1, classes, classes)


def _kappa(matrices: FloatArray, actual: FloatArray, predicted: FloatArray, disagreement: IntArray) -> FloatArray:
    """Cohen (1960, 1968), as 1 minus disagreement (C, C) over that by chance, which is 0 where kappa is undefined."""
    by_chance = np.einsum("bi,ij,bj->b", actual, disagreement, predicted) / actual.sum(axis=1)
    return 1 - fraction((matrices * disagreement).sum(axis=(1, 2)), by_chance)


def _among_first(truth: IntArray, probabilities: FloatArray, first: int) -> FloatArray:
    """1 where fewer than ``first`` classes are likelier than the truth, the earlier one on a tie (N,)."""
    own = probabilities[np.arange(len(truth)), truth][:, None]
    earlier = np.arange(probabilities.shape[1]) < truth[:, None]
    likelier = (probabilities > own) | ((probabilities == own) & earlier)
    among: FloatArray = (likelier.sum(axis=1) < first).astype(np.float64)
    return among


def _mean_where(values: FloatArray, counted: BoolArray) -> FloatArray:
    """Mean over the classes (axis 1) that count, NaN where none does."""
    return fraction(values.sum(axis=1, where=counted), counted.sum(axis=1))
