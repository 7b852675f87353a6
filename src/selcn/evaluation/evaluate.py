"""Metrics of a file of any kind: class probabilities, hard labels, segmentation scores, saliency scores."""

from pathlib import Path

import numpy as np
import pandas as pd

from selcn.errors import ConfigError, DataError
from selcn.evaluation.classification import evaluate_classification
from selcn.evaluation.further import NOTHING, Further, evaluate_further
from selcn.evaluation.intervals import RESAMPLES, Statistic, interval_table
from selcn.evaluation.localisation import read_saliency_scores, summarise_saliency
from selcn.evaluation.predictions import FloatArray, Predictions, read_predictions, table_labels
from selcn.evaluation.recalibration import fit_recalibration
from selcn.evaluation.segmentation import evaluate_segmentation
from selcn.io.tables import lines, read_table
from selcn.labels import HAM10000, LABEL_SETS, TEST, LabelSet

PREDICTION = "prediction"
"""Starts the name of a column of hard labels."""
_MAX_NAMED_CLASSES = 5


def evaluate_file(
    path: Path,
    *,
    labels: LabelSet | None = None,
    calibrate: bool = False,
    further: Further | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return metrics with 95 % intervals of whatever a file holds.

    A column `dice` marks segmentation scores, a column `saliency` saliency scores, columns named `prediction...` hard
    labels; any other file holds class probabilities. Without a column `truth` those get the metrics that need none.

    Args:
        path: the file.
        labels: label set of class probabilities or hard labels; None to resolve it from the file.
        calibrate: whether probabilities are first recalibrated, see `fit_recalibration`.
        further: which metrics are given besides the usual ones; None for none.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups``; a file with several columns of hard labels
        also has ``prediction``, the name of the column.

    Raises:
        DataError: the file is missing or wrong, or there is nothing to recalibrate with.
        ConfigError: ``resamples`` is below 1, or ``further`` does not fit the file.
    """
    table, asked = read_table(path), further or NOTHING
    if asked and ("truth" not in table or "dice" in table or "saliency" in table):
        raise ConfigError(f"{path}: has no classes with their truth; metrics of decisions need both")
    if "dice" in table:
        return evaluate_segmentation(path, resamples=resamples, seed=seed)
    if "saliency" in table:
        return summarise_saliency(read_saliency_scores(path), resamples=resamples, seed=seed)
    if hard_label_columns(table):
        return _evaluate_hard_labels(read_hard_labels(path, labels), asked, resamples, seed)
    if "truth" not in table:
        return evaluate_unlabelled(table, str(path), labels=labels, resamples=resamples, seed=seed)
    predictions = read_predictions(path, labels)
    calibrated = fit_recalibration(predictions).of(predictions) if calibrate else predictions
    return _evaluate_classes(calibrated, asked, resamples, seed)


def hard_label_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns of hard labels: those whose name starts with `prediction`, in any case.

    Args:
        table: of a file.
    """
    return [name for name in table.columns if name.lower().startswith(PREDICTION)]


def read_hard_labels(path: Path, labels: LabelSet | None = None) -> dict[str, Predictions]:
    """Read hard labels as probabilities of 0 and 1, by the name of their column.

    Without a column `group` each image is its own group; without `fold` all images are of the test subset.

    Args:
        path: a file with the columns ``image_id, truth`` and one or more named `prediction...`.
        labels: the label set; None for the built-in one that has all the classes in the file, HAM10000's first and then
            the smallest, or else for the file's own classes in alphabetical order.

    Raises:
        DataError: a column or a cell is missing, or a class is not in the label set; see also `Predictions.of`.
    """
    table = read_table(path, ["image_id", "truth"])
    columns = hard_label_columns(table)
    known = _hard_label_set(table[["truth", *columns]], str(path), labels)
    keys = _with_default_keys(table)[["image_id", "group", "fold", "truth"]]
    one_hot = {column: (table[[column]].to_numpy() == np.asarray(known.names)).astype(np.float64) for column in columns}
    return {
        column: Predictions.of(keys.assign(**dict(zip(known.names, values.T, strict=True))), str(path), known)
        for column, values in one_hot.items()
    }


def evaluate_unlabelled(
    table: pd.DataFrame,
    source: str,
    *,
    labels: LabelSet | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the share of images predicted as each class, mean confidence and mean entropy, with 95 % intervals.

    Args:
        table: class probabilities, one row an image, as in a prediction file without its column ``truth``; without
            ``group`` each image is its own group, without ``fold`` all images are of the test subset.
        source: name of the table in errors.
        labels: the label set; None to resolve it from the columns.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups``; entropy is in nats, all else are fractions.

    Raises:
        DataError: a column is missing or unknown, or rows are bad.
        ConfigError: ``resamples`` is below 1.
    """
    known = table_labels(table, source, labels)
    # Any truth will do, because no metric below reads it.
    predictions = Predictions.of(_with_default_keys(table).assign(truth=known.names[0]), source, known)
    return interval_table(
        predictions.table,
        lambda rows: _unlabelled_metrics_of(Predictions(known, rows)),
        resamples=resamples,
        seed=seed,
    )


def _evaluate_classes(predictions: Predictions, asked: Further, resamples: int, seed: int) -> pd.DataFrame:
    usual = evaluate_classification(predictions, resamples=resamples, seed=seed)
    if not asked:
        return usual
    return pd.concat([usual, evaluate_further(predictions, asked, resamples=resamples, seed=seed)], ignore_index=True)


def _evaluate_hard_labels(
    predictions: dict[str, Predictions], asked: Further, resamples: int, seed: int
) -> pd.DataFrame:
    tables = {column: _evaluate_classes(one, asked, resamples, seed) for column, one in predictions.items()}
    if len(tables) == 1:
        return next(iter(tables.values()))
    return pd.concat([table.assign(prediction=column) for column, table in tables.items()], ignore_index=True)


def _hard_label_set(cells: pd.DataFrame, source: str, labels: LabelSet | None) -> LabelSet:
    """The label set of hard labels, after making sure that it has every class among them."""
    empty = cells[(cells == "").any(axis=1)]
    if len(empty):
        raise DataError(f"{source}: line {lines(empty)[0]} has an empty class; write one in every row")
    named = set(cells.to_numpy().ravel())
    built_in = [one for one in LABEL_SETS.values() if named.issubset(one.names)]
    known = labels or min(built_in, key=lambda one: (one != HAM10000, len(one.names)), default=None)
    if known is None and len(named) < 2:
        raise DataError(f"{source}: the only class is {', '.join(named)}; give the label set that it belongs to")
    known = known or LabelSet.of(sorted(named))
    unknown = sorted(named.difference(known.names))[:_MAX_NAMED_CLASSES]
    if unknown:
        raise DataError(f"{source}: unknown class {', '.join(map(repr, unknown))}; write {', '.join(known.names)}")
    return known


def _with_default_keys(table: pd.DataFrame) -> pd.DataFrame:
    defaults = {"group": table.get("image_id", ""), "fold": TEST}
    return table.assign(**{name: value for name, value in defaults.items() if name not in table})


def _unlabelled_metrics_of(predictions: Predictions) -> Statistic:
    probabilities = predictions.probabilities
    predicted = np.eye(len(predictions.classes))[predictions.predicted]
    logarithms = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    columns = np.column_stack([predicted, predictions.confidence, -(probabilities * logarithms).sum(axis=1)])
    names = [*(f"predicted_{name}" for name in predictions.classes), "mean_confidence", "mean_entropy"]

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        means = weights @ columns / weights.sum(axis=1, keepdims=True)
        return dict(zip(names, means.T, strict=True))

    return statistic
