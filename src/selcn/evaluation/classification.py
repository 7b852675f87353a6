"""Metrics of class probabilities, for any number of image weightings at once."""

from pathlib import Path

import numpy as np
import pandas as pd

from selcn.errors import DataError
from selcn.evaluation.intervals import RESAMPLES, Part, Statistic, fold_parts, interval_table
from selcn.evaluation.predictions import BoolArray, FloatArray, IntArray, Predictions, read_predictions
from selcn.labels import Diagnosis, Symmetry

_CLASSES_NOT_TO_MISS = (Diagnosis.MEL.value, Symmetry.ASYMMETRIC.value)


def evaluate_classification(source: Path | Predictions, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Every metric of a prediction file with its 95 % interval, resampled by lesion.

    Args:
        source: a prediction file, or what was read from one.
        resamples: number of bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups``; values are fractions. Validation pools the
        out-of-fold rows of all folds.

    Raises:
        DataError: the file is wrong.
        ConfigError: ``resamples`` is below 1.
    """
    predictions = source if isinstance(source, Predictions) else read_predictions(source)
    return interval_table(
        predictions.table,
        lambda part: metrics_of(Predictions(predictions.classes, part)),
        resamples=resamples,
        seed=seed,
    )


def confusion(predictions: Predictions, part: Part) -> pd.DataFrame:
    """Count images by truth (rows) and predicted class (columns), both in class order.

    Raises:
        DataError: the predictions have no rows in that part.
    """
    parts = fold_parts(predictions.table)
    if part not in parts:
        raise DataError(f"no {part} rows in the predictions; ask for {', '.join(parts)}")
    chosen = Predictions(predictions.classes, parts[part])
    counts = confusion_matrices(chosen.truth, chosen.probabilities, np.ones((1, len(chosen.table))))[0]
    return pd.DataFrame(
        counts.astype(np.int64),
        index=pd.Index(chosen.classes, name="truth"),
        columns=pd.Index(chosen.classes, name="predicted"),
    )


def metrics_of(predictions: Predictions) -> Statistic:
    """The statistic that scores these N images under weights (B, N); see :func:`classification_metrics`."""
    truth, probabilities, classes = predictions.truth, predictions.probabilities, predictions.classes
    return lambda weights: classification_metrics(truth, probabilities, classes, weights)


def classification_metrics(
    truth: IntArray, probabilities: FloatArray, classes: list[str], weights: FloatArray
) -> dict[str, FloatArray]:
    """Score N images under B weightings; equal to scikit-learn's metrics with ``sample_weight``.

    The predicted class is the most probable one, the first of them on a tie. A class may be without weight in a
    weighting; then, as in scikit-learn,

    - balanced accuracy averages over the classes that have truth;
    - macro precision, recall and F1 average over the classes that have truth or predictions, where 0/0 counts 0;
    - macro AUC (one class against the rest) averages over the classes that have both positives and negatives, and is
      NaN if there are none;
    - kappa is NaN when truth and prediction are all of one class;
    - the sensitivity of a class without truth is NaN.

    Args:
        truth: class numbers (N,).
        probabilities: (N, C).
        classes: the C class names; sensitivity is given for melanoma and for asymmetric lesions where they are there.
        weights: not negative, (B, N), each row with a positive sum.

    Returns:
        Metric names to values (B,).
    """
    matrices = confusion_matrices(truth, probabilities, weights)
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    actual, predicted = matrices.sum(axis=2), matrices.sum(axis=1)
    recall, occurs = _fraction(hits, actual), (actual + predicted) > 0
    sensitivities = {
        f"sensitivity_{name}": recall[:, number] for number, name in enumerate(classes) if name in _CLASSES_NOT_TO_MISS
    }
    return {
        "balanced_accuracy": _mean_where(recall, actual > 0),
        "kappa": _kappa(matrices, actual, predicted),
        "macro_f1": _mean_where(_fraction(2 * hits, actual + predicted), occurs),
        "accuracy": hits.sum(axis=1) / actual.sum(axis=1),
        "macro_precision": _mean_where(np.nan_to_num(_fraction(hits, predicted)), occurs),
        "macro_recall": _mean_where(np.nan_to_num(recall), occurs),
        "macro_auc": _macro_auc(truth, probabilities, weights),
        **sensitivities,
    }


def confusion_matrices(truth: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    """Weight of each truth (axis 1) and predicted class (axis 2), shape (B, C, C)."""
    classes = probabilities.shape[1]
    cell = truth * classes + probabilities.argmax(axis=1)
    matrices: FloatArray = weights @ np.eye(classes**2)[cell]
    return matrices.reshape(-1, classes, classes)


def _kappa(matrices: FloatArray, actual: FloatArray, predicted: FloatArray) -> FloatArray:
    """Cohen (1960), as 1 minus disagreement over that by chance, which is exactly 0 where kappa is undefined."""
    differ = 1 - np.eye(matrices.shape[1])
    by_chance = np.einsum("bi,ij,bj->b", actual, differ, predicted) / actual.sum(axis=1)
    return 1 - _fraction((matrices * differ).sum(axis=(1, 2)), by_chance)


def _macro_auc(truth: IntArray, probabilities: FloatArray, weights: FloatArray) -> FloatArray:
    aucs = np.stack([_auc(scores, truth == number, weights) for number, scores in enumerate(probabilities.T)], axis=1)
    return _mean_where(aucs, ~np.isnan(aucs))


def _auc(scores: FloatArray, positive: BoolArray, weights: FloatArray) -> FloatArray:
    """The weighted Mann-Whitney U: how much negative weight lies below each positive, ties by half."""
    order = np.flatnonzero(~positive)[np.argsort(scores[~positive])]
    below = np.zeros((len(weights), len(order) + 1))
    np.cumsum(weights[:, order], axis=1, out=below[:, 1:])
    first, last = (np.searchsorted(scores[order], scores[positive], side=side) for side in ("left", "right"))
    pairs_won = np.einsum("bp,bp->b", weights[:, positive], (below[:, first] + below[:, last]) / 2)
    return _fraction(pairs_won, weights[:, positive].sum(axis=1) * below[:, -1])


def _fraction(part: FloatArray, whole: FloatArray) -> FloatArray:
    """part / whole, NaN where there is no whole."""
    fractions = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=fractions, where=whole > 0)
    return fractions


def _mean_where(values: FloatArray, counted: BoolArray) -> FloatArray:
    """Mean over the classes (axis 1) that count, NaN where none does."""
    return _fraction(values.sum(axis=1, where=counted), counted.sum(axis=1))
