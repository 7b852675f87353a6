"""Points of ROC and precision-recall curves, one class against the rest; equal to scikit-learn's."""

import numpy as np
import pandas as pd

from selcn.evaluation.classification import one_against_rest
from selcn.evaluation.intervals import fold_parts
from selcn.evaluation.predictions import BoolArray, FloatArray, Predictions
from selcn.evaluation.ranking import auc, average_precision, count_above, fraction


def primary_subset(predictions: Predictions) -> Predictions:
    """Return the test rows, or the validation rows where there is no test subset.

    Args:
        predictions: of any images.
    """
    rows = next(iter(fold_parts(predictions.table).values()))
    return Predictions(predictions.labels, rows.reset_index(drop=True))


def roc(predictions: Predictions) -> pd.DataFrame:
    """Return ROC curves of each class, and of malignant where the label set says which classes are.

    Args:
        predictions: of any images.

    Returns:
        Columns ``class, auc, threshold, false_positive_rate, sensitivity``, from the highest threshold on, with the
        point above all scores first; a class without positives or without negatives has one row of NaN.
    """
    return _curves(predictions, "auc", "false_positive_rate", "sensitivity")


def precision_recall(predictions: Predictions) -> pd.DataFrame:
    """Return precision-recall curves of each class, and of malignant where the label set says which classes are.

    Args:
        predictions: of any images.

    Returns:
        Columns ``class, average_precision, threshold, recall, precision``, from the highest threshold on; a class
        without positives has one row of NaN.
    """
    return _curves(predictions, "average_precision", "recall", "precision")


def _curves(predictions: Predictions, area: str, x: str, y: str) -> pd.DataFrame:
    questions = one_against_rest(predictions.truth, predictions.probabilities, predictions.labels)
    found = [
        _points(scores, positive, area)[["area", "threshold", x, y]].assign(**{"class": name})
        for name, (scores, positive) in questions.items()
    ]
    table = pd.concat(found, ignore_index=True).rename(columns={"area": area})
    return table[["class", area, "threshold", x, y]]


def _points(scores: FloatArray, positive: BoolArray, area: str) -> pd.DataFrame:
    counts = count_above(scores, positive, np.ones((1, len(scores))))
    roc_area, precision_area = float(auc(counts)[0]), float(average_precision(counts)[0])
    chosen = roc_area if area == "auc" else precision_area
    levels = np.unique(-scores)
    hits, misses = (
        np.searchsorted(np.sort(-scores[one]), levels, side="right").astype(np.float64) for one in (positive, ~positive)
    )
    points = pd.DataFrame(
        {
            "area": chosen,
            "threshold": -levels,
            "sensitivity": fraction(hits, np.full(len(levels), hits[-1])),
            "false_positive_rate": fraction(misses, np.full(len(levels), misses[-1])),
            "precision": fraction(hits, hits + misses),
        }
    ).assign(recall=lambda table: table["sensitivity"])
    if np.isnan(chosen):
        return points.head(1) * np.nan
    if area != "auc":
        return points
    start = pd.DataFrame({"area": [chosen], "threshold": [np.inf], "sensitivity": [0.0], "false_positive_rate": [0.0]})
    return pd.concat([start, points], ignore_index=True)
