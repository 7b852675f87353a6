"""The figures of a cross-validation: each fold's, their mean and standard deviation, pooled, and of the ensemble."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.errors import DataError
from selcn.evaluation.classification import classification_metrics
from selcn.evaluation.intervals import fold_parts
from selcn.evaluation.predictions import FloatArray, Predictions, read_predictions

FOLD = "fold-"


def cross_validation(source: Path | Predictions, members: Sequence[Path | Predictions] = ()) -> pd.DataFrame:
    """Point figures a fold and over all folds.

    On validation rows a fold's figure is that of the images it held out, `pooled` that of all of them together. On test
    rows a fold's figure is that of its member; `mean_probability` is the ensemble's, `vote` that of the members'
    majority, a tie going to the larger mean probability among the tied.

    Args:
        source: the predictions of all members together.
        members: predictions of the test part by each member, in the folds' order; none where only folds are wanted.

    Returns:
        Columns ``metric, fold_part, mean, sd, pooled, mean_probability, vote`` and one a fold; ``sd`` is that of a
        sample, as papers report it (n - 1).

    Raises:
        DataError: a file is wrong, or a member speaks of other images.
    """
    whole = source if isinstance(source, Predictions) else read_predictions(source)
    alone = [member if isinstance(member, Predictions) else read_predictions(member) for member in members]
    tables = []
    parts = fold_parts(whole.table)
    if "validation" in parts:
        rows = parts["validation"]
        each = [_of(whole, rows[rows["fold"] == fold]) for fold in sorted(rows["fold"].unique(), key=int)]
        tables.append(_table("validation", each, pooled=_of(whole, rows)))
    if "test" in parts and alone:
        rows = parts["test"]
        aligned = [_aligned(member, rows) for member in alone]
        votes = _figures(whole.classes, rows, majority([member.probabilities for member in aligned]))
        each = [_figures(whole.classes, member.table) for member in aligned]
        tables.append(_table("test", each, mean_probability=_of(whole, rows), vote=votes))
    if not tables:
        raise DataError("predictions without rows held out by a fold and without members; nothing to cross-validate")
    return pd.concat(tables, ignore_index=True)


def majority(probabilities: Sequence[FloatArray]) -> FloatArray:
    """Votes of members, as shares (N, C) whose largest is the winner: ties are broken by the mean probability."""
    mean: FloatArray = np.mean(probabilities, axis=0)
    classes = mean.shape[1]
    votes = np.sum([np.eye(classes)[member.argmax(axis=1)] for member in probabilities], axis=0)
    # Mean probabilities are at most 1, so that half of one settles no more than a tie.
    ranked: FloatArray = votes + mean / 2
    shares: FloatArray = ranked / ranked.sum(axis=1, keepdims=True)
    return shares


def _of(predictions: Predictions, rows: pd.DataFrame) -> dict[str, float]:
    return _figures(predictions.classes, rows)


def _figures(classes: list[str], rows: pd.DataFrame, probabilities: FloatArray | None = None) -> dict[str, float]:
    part = Predictions(classes, rows)
    said = part.probabilities if probabilities is None else probabilities
    voted = probabilities is not None  # a vote ranks nothing
    figures = classification_metrics(part.truth, said, classes, np.ones((1, len(rows))), hard=voted)
    return {metric: float(value[0]) for metric, value in figures.items()}


def _table(part: str, folds: list[dict[str, float]], **over_all: dict[str, float]) -> pd.DataFrame:
    values = pd.DataFrame(folds).T
    table = pd.DataFrame({"metric": values.index, "fold_part": part})
    table["mean"], table["sd"] = values.mean(axis=1).to_numpy(), values.std(axis=1, ddof=1).to_numpy()
    for name in ("pooled", "mean_probability", "vote"):
        table[name] = [over_all.get(name, {}).get(metric, np.nan) for metric in values.index]
    return pd.concat([table, values.add_prefix(FOLD).reset_index(drop=True)], axis=1)


def _aligned(member: Predictions, rows: pd.DataFrame) -> Predictions:
    """A member's rows in the order of the ensemble's."""
    if set(member.table["image_id"]) != set(rows["image_id"]):
        raise DataError("a member's predictions are of other images than the ensemble's test part; predict them anew")
    return Predictions(member.classes, member.table.set_index("image_id").loc[rows["image_id"]].reset_index())
