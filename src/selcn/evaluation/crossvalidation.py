"""Metrics of a cross-validation: of each fold, their mean and standard deviation, pooled, and of the ensemble."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from selcn.errors import DataError
from selcn.evaluation.classification import classification_metrics, metrics_of
from selcn.evaluation.intervals import fold_parts
from selcn.evaluation.predictions import FloatArray, Predictions, as_predictions
from selcn.labels import LabelSet

Deviation = Literal["n-1", "n"]
Ties = Literal["probability", "alphabetical"]
FOLD = "fold-"
"""Starts the name of a fold's column."""


def cross_validation(
    source: Path | Predictions,
    members: Sequence[Path | Predictions] = (),
    *,
    labels: LabelSet | None = None,
    deviation: Deviation = "n-1",
    ties: Ties = "probability",
) -> pd.DataFrame:
    """Return metrics of each fold and of all folds, without intervals.

    On validation rows a fold's value is that of the images it held out, `pooled` that of all of them together. On test
    rows a fold's value is that of its member; `mean_probability` is that of the ensemble, `vote` that of the members'
    majority, see `majority`.

    Args:
        source: predictions of the ensemble, or their file.
        members: predictions of the test subset by each member, or their files, in the folds' order; none to have the
            folds only.
        labels: the label set; None for the predictions' own, or to resolve it from the file.
        deviation: denominator of the variance over n folds; the thesis' numbers have n.
        ties: of votes, see `majority`.

    Returns:
        Columns ``metric, fold_part, mean, sd, pooled, mean_probability, vote`` and one a fold.

    Raises:
        DataError: a file is wrong, or a member predicts other images or classes.
    """
    whole = as_predictions(source, labels)
    single = [as_predictions(member, labels) for member in members]
    alphabetical = whole.classes if ties == "alphabetical" else None
    tables = []
    parts = fold_parts(whole.table)
    if "validation" in parts:
        rows = parts["validation"]
        each = [_metrics(whole, rows[rows["fold"] == fold]) for fold in sorted(rows["fold"].unique(), key=int)]
        tables.append(_table("validation", each, deviation, pooled=_metrics(whole, rows)))
    if "test" in parts and single:
        rows = parts["test"]
        aligned = [_aligned(member, Predictions(whole.labels, rows)) for member in single]
        votes = _metrics(whole, rows, majority([one.probabilities for one in aligned], alphabetical))
        each = [_metrics(whole, member.table) for member in aligned]
        tables.append(_table("test", each, deviation, mean_probability=_metrics(whole, rows), vote=votes))
    if not tables:
        raise DataError("predictions without rows held out by a fold and without members; nothing to cross-validate")
    return pd.concat(tables, ignore_index=True)


def majority(probabilities: Sequence[FloatArray], names: Sequence[str] | None = None) -> FloatArray:
    """Return the votes of members as shares (N, C), of which the largest wins.

    Args:
        probabilities: (N, C) of each member.
        names: of the classes; a tie goes to the alphabetically first of the tied, as in the thesis. None: to the one
            of the largest mean probability.
    """
    mean: FloatArray = np.mean(probabilities, axis=0)
    classes = mean.shape[1]
    votes = np.sum([np.eye(classes)[member.argmax(axis=1)] for member in probabilities], axis=0)
    preferred = mean if names is None else 1 - np.argsort(np.argsort(names)) / classes
    # Preferences are at most 1, so that half of one settles no more than a tie.
    ranked: FloatArray = votes + preferred / 2
    shares: FloatArray = ranked / ranked.sum(axis=1, keepdims=True)
    return shares


def _metrics(whole: Predictions, rows: pd.DataFrame, votes: FloatArray | None = None) -> dict[str, float]:
    """Metrics of some rows, or of the votes for them, which rank nothing."""
    part = Predictions(whole.labels, rows)
    once = np.ones((1, len(rows)))
    if votes is None:
        metrics = metrics_of(part)(once)
    else:
        metrics = classification_metrics(part.truth, votes, part.labels, once, hard=True)
    return {metric: float(value[0]) for metric, value in metrics.items()}


def _table(
    part: str, folds: list[dict[str, float]], deviation: Deviation, **over_all: dict[str, float]
) -> pd.DataFrame:
    values = pd.DataFrame(folds).T
    table = pd.DataFrame({"metric": values.index, "fold_part": part})
    table["mean"], table["sd"] = (
        values.mean(axis=1).to_numpy(),
        values.std(axis=1, ddof=0 if deviation == "n" else 1).to_numpy(),
    )
    for name in ("pooled", "mean_probability", "vote"):
        table[name] = [over_all.get(name, {}).get(metric, np.nan) for metric in values.index]
    return pd.concat([table, values.add_prefix(FOLD).reset_index(drop=True)], axis=1)


def _aligned(member: Predictions, ensemble: Predictions) -> Predictions:
    """A member's rows and classes in the order of the ensemble's."""
    if sorted(member.classes) != sorted(ensemble.classes):
        classes = f"a member has classes {', '.join(member.classes)}, the ensemble {', '.join(ensemble.classes)}"
        raise DataError(f"{classes}; give members of this ensemble")
    images = ensemble.table["image_id"]
    # A member may predict more: the ensemble leaves out images of which any member's measured symmetry is undefined.
    if not set(member.table["image_id"]).issuperset(images):
        raise DataError("a member's predictions lack images of the ensemble's test subset; predict them anew")
    return Predictions(ensemble.labels, member.table.set_index("image_id").loc[images].reset_index())
