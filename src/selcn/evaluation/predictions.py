"""The two tables that metrics are computed from: per-image class probabilities and per-image segmentation scores."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from selcn.errors import DataError
from selcn.io.cells import other_case
from selcn.io.files import written_whole
from selcn.io.tables import guarded, lines, read_table
from selcn.labels import CALIBRATION, LABEL_SETS, TEST, LabelSet, label_set_of

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

SCORES = ["dice", "jaccard", "sensitivity", "specificity", "accuracy"]
BOUNDARY_SCORES = ["boundary_f1", "hausdorff95"]
"""Scores of borders, which a score file may also hold."""
PREDICTED = "predicted"
"""Column of the predicted classes, where those are not the most probable ones."""
_KEYS = ["image_id", "group", "fold"]
_SUM_TOLERANCE = 1e-3
_NAMED_ROWS = 3


@dataclass(frozen=True, eq=False)
class Predictions:
    """Checked class probabilities, one row an image; made by :meth:`of` or :func:`read_predictions`.

    Attributes:
        labels: the label set, whose order is that of the class numbers.
        table: columns ``image_id, group, fold, truth`` and one of probabilities for each class. ``group`` is the lesion
            (or patient), ``fold`` is ``test`` or the number of the fold that held the image out. A column ``predicted``
            names the predicted classes where they are not the most probable ones.
    """

    labels: LabelSet
    table: pd.DataFrame

    @classmethod
    def of(cls, table: pd.DataFrame, source: str = "predictions", labels: LabelSet | None = None) -> Self:
        """Check a table and put its columns in order.

        Args:
            table: the columns above, in any order.
            source: name of the table in errors; for a file, its path.
            labels: the label set; None to resolve it from the columns, see :func:`table_labels`.

        Raises:
            DataError: a column is missing or unknown, or rows are bad; all bad rows are reported at once.
        """
        if labels is not None:
            table = _in_case_of(table, labels)
        resolved = table_labels(table, source, labels)
        classes = resolved.names
        if labels is None and resolved.name not in LABEL_SETS:
            source = f"{source} (classes {', '.join(classes)})"
        problems = {"truth": "an unknown truth"} | (
            {PREDICTED: "an unknown predicted class"} if PREDICTED in table else {}
        )
        table = _typed(table, source, [*_KEYS, *problems], classes)
        remedy = f"use one of {', '.join(classes)}"
        faults = [
            *_key_faults(table),
            *(_Fault(~table[one].isin(classes).to_numpy(), problem, remedy) for one, problem in problems.items()),
            *_number_faults(table, classes),
            _Fault(_sums_off(table[classes].to_numpy()), "probabilities that do not sum to 1", "write the softmax"),
        ]
        _refuse(faults, table, source)
        return cls(resolved, table.reset_index(drop=True))

    @property
    def classes(self) -> list[str]:
        """Class names in the label set's order."""
        return self.labels.names

    @property
    def truth(self) -> IntArray:
        """Class numbers of the truth, shape (N,)."""
        return pd.Categorical(self.table["truth"], categories=self.classes).codes.astype(np.int64)

    @property
    def probabilities(self) -> FloatArray:
        """Probabilities in class order, shape (N, C)."""
        return self.table[self.classes].to_numpy(dtype=np.float64)

    @property
    def predicted(self) -> IntArray:
        """Class numbers of what is predicted, shape (N,): as the table names it, else of the most probable class."""
        likeliest: IntArray = self.probabilities.argmax(axis=1)
        if PREDICTED not in self.table:
            return likeliest
        named = pd.Categorical(self.table[PREDICTED], categories=self.classes).codes.astype(np.int64)
        return np.where(named < 0, likeliest, named)  # rows of another table, joined to this one, name none

    @property
    def confidence(self) -> FloatArray:
        """Probability of what is predicted, shape (N,)."""
        own: FloatArray = self.probabilities[np.arange(len(self.table)), self.predicted]
        return own

    def with_probabilities(self, probabilities: FloatArray) -> Self:
        """Return predictions of the same classes with other probabilities.

        Args:
            probabilities: in class order, shape (N, C).
        """
        table = self.table.assign(**{PREDICTED: np.asarray(self.classes, dtype=object)[self.predicted]})
        table[self.classes] = probabilities
        return replace(self, table=table)


def _in_case_of(table: pd.DataFrame, labels: LabelSet) -> pd.DataFrame:
    """The table with class names, of columns and of the truth, in the label set's own case."""
    table = table.rename(columns=other_case(table.columns, labels.names))
    words = [column for column in ("truth", PREDICTED) if column in table]
    return table.assign(
        **{one: table[one].replace(other_case(table[one].dropna().unique(), labels.names)) for one in words}
    )


def table_labels(table: pd.DataFrame, source: str, labels: LabelSet | None = None) -> LabelSet:
    """Return the label set of a table's class columns, which are all but ``image_id, group, fold, truth, predicted``.

    Args:
        table: of class probabilities.
        source: name of the table in errors.
        labels: the set that the columns must belong to; None for the built-in set with exactly these class names or,
            where there is none, a set of these names in the columns' order.

    Raises:
        DataError: the class columns are not those of ``labels``, or are fewer than two.
    """
    named = [name for name in table.columns if name not in {*_KEYS, "truth", PREDICTED}]
    if labels is None:
        try:
            return label_set_of(named)
        except ValueError:
            problem = f"class columns are {', '.join(named) or 'none'}"
            raise DataError(f"{source}: {problem}; write a column of probabilities for each of two or more") from None
    missing = [name for name in labels.names if name not in named]
    unknown = sorted(set(named).difference(labels.names))
    if missing or unknown:
        wrong = [f"column {', '.join(missing)} is missing"] * bool(missing)
        wrong += [f"column {', '.join(unknown)} is unknown"] * bool(unknown)
        raise DataError(f"{source}: {' and '.join(wrong)}; name the class columns {', '.join(labels.names)}")
    return labels


def read_predictions(path: Path | str, labels: LabelSet | None = None) -> Predictions:
    """Read and check a classification prediction file.

    Args:
        path: a table with the columns of :class:`Predictions`.
        labels: the label set; None to resolve it from the columns, see :func:`table_labels`.

    Raises:
        DataError: the file cannot be read, or see :meth:`Predictions.of`.
    """
    return Predictions.of(read_table(Path(path)), str(path), labels)


def as_predictions(source: Path | str | Predictions, labels: LabelSet | None = None) -> Predictions:
    """Return predictions as they are or read from a file.

    Args:
        source: a prediction file, or predictions.
        labels: the label set that they must have; None for their own.

    Raises:
        DataError: the file cannot be read, or see :meth:`Predictions.of`.
    """
    if not isinstance(source, Predictions):
        return read_predictions(source, labels)
    return source if labels is None else Predictions.of(source.table, labels=labels)


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write a prediction file that reads back to the same numbers, atomically.

    Args:
        predictions: of any images.
        path: the file; an existing one is replaced.

    Raises:
        DataError: the file cannot be written.
    """
    _write_csv(predictions.table, path)


def check_scores(table: pd.DataFrame, source: str = "scores") -> pd.DataFrame:
    """Check a table of per-image segmentation scores; return it with its columns in order.

    Args:
        table: columns ``image_id, group, fold``, :data:`SCORES` and, where they are known, :data:`BOUNDARY_SCORES`.
        source: name of the table in errors.

    Raises:
        DataError: a column is missing, or rows are bad; all bad rows are reported at once.
    """
    scores = score_columns(table)
    table = _typed(table, source, _KEYS, scores)
    _refuse([*_key_faults(table), *_number_faults(table, scores)], table, source)
    return table.reset_index(drop=True)


def check_keys(table: pd.DataFrame, source: str) -> None:
    """Refuse empty or doubled ids, empty groups, unknown folds and groups that lie in several folds.

    Args:
        table: with the columns ``image_id, group, fold``.
        source: name of the table in errors.

    Raises:
        DataError: a column is missing, or rows are bad; all bad rows are reported at once.
    """
    _refuse(_key_faults(_typed(table, source, _KEYS, [])), table, source)


def score_columns(table: pd.DataFrame) -> list[str]:
    """Return the scores that a table must have, and those that it also has.

    Args:
        table: of segmentation scores.
    """
    return [*SCORES, *(name for name in BOUNDARY_SCORES if name in table.columns)]


def read_scores(path: Path) -> pd.DataFrame:
    """Read and check a segmentation score file.

    Args:
        path: a table with the columns of :func:`check_scores`.

    Raises:
        DataError: the file cannot be read, or see :func:`check_scores`.
    """
    return check_scores(read_table(path), str(path))


def write_scores(scores: pd.DataFrame, path: Path) -> None:
    """Check and write segmentation scores, atomically.

    Args:
        scores: a table as :func:`check_scores` takes it.
        path: the file; an older one is replaced.

    Raises:
        DataError: the file cannot be written, or see :func:`check_scores`.
    """
    _write_csv(check_scores(scores), path)


@dataclass(frozen=True, eq=False)
class _Fault:
    """The rows (N,) that have a problem, the problem, and its remedy."""

    rows: BoolArray
    problem: str
    remedy: str

    def describe(self, table: pd.DataFrame) -> str:
        where = np.flatnonzero(self.rows)
        line = lines(table)
        named = ", ".join(f"line {line[row]} ({table['image_id'].iloc[row]})" for row in where[:_NAMED_ROWS])
        more = f" and {len(where) - _NAMED_ROWS} more" if len(where) > _NAMED_ROWS else ""
        return f"{len(where)} row{'s' * (len(where) > 1)} with {self.problem}: {named}{more}; {self.remedy}"


def _refuse(faults: list[_Fault], table: pd.DataFrame, source: str) -> None:
    found = [fault.describe(table) for fault in faults if fault.rows.any()]
    if found:
        raise DataError(f"{source}: {' | '.join(found)}")


def _typed(table: pd.DataFrame, source: str, text: list[str], numbers: list[str]) -> pd.DataFrame:
    """The named columns in that order, as text and as float64; cells that are no finite number become NaN."""
    missing = [column for column in [*text, *numbers] if column not in table.columns]
    if missing:
        raise DataError(f"{source}: column {', '.join(missing)} is missing; add it to the header and to every row")
    if table.empty:
        raise DataError(f"{source}: no rows; write one row for each image")
    table = table[[*text, *numbers]].astype(dict.fromkeys(text, str))
    parsed = {column: pd.to_numeric(table[column], errors="coerce").astype(np.float64) for column in numbers}
    return table.assign(**parsed).replace([np.inf, -np.inf], np.nan)


def _key_faults(table: pd.DataFrame) -> list[_Fault]:
    no_group = _blank(table["group"])
    folds_of_group = table.groupby("group")["fold"].transform("nunique").to_numpy()
    unknown_fold = np.asarray(~table["fold"].str.fullmatch(rf"{TEST}|{CALIBRATION}|\d+", na=False), dtype=np.bool_)
    return [
        _Fault(_blank(table["image_id"]), "an empty image_id", "fill it in"),
        _Fault(table["image_id"].duplicated().to_numpy(), "a doubled image_id", "keep one row for each image"),
        _Fault(no_group, "an empty group", "give the lesion or, where none is known, the image_id"),
        _Fault(unknown_fold, "an unknown fold", f"use {TEST}, {CALIBRATION} or the fold's number"),
        _Fault(
            (folds_of_group > 1) & ~no_group,
            "a divided lesion (its group lies in several folds)",
            "split by group and predict again",
        ),
    ]


def _blank(keys: pd.Series) -> BoolArray:
    return np.asarray(keys.isna() | (keys.str.strip() == ""), dtype=np.bool_)


def _number_faults(table: pd.DataFrame, columns: list[str]) -> list[_Fault]:
    numbers = table[columns].to_numpy()
    faults = []
    for cells, problem in ((np.isnan(numbers), "no number"), ((numbers < 0) | (numbers > 1), "a value outside 0 to 1")):
        at_fault = ", ".join(np.asarray(columns)[cells.any(axis=0)])
        rows = np.asarray(cells.any(axis=1), dtype=np.bool_)
        faults.append(_Fault(rows, f"{problem} in column {at_fault}", "write a fraction from 0 to 1"))
    return faults


def _sums_off(probabilities: FloatArray) -> BoolArray:
    # A missing number is its own fault: NaN compares false here.
    return np.asarray(np.abs(probabilities.sum(axis=1) - 1) > _SUM_TOLERANCE, dtype=np.bool_)


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    try:
        with written_whole(path) as partial:
            guarded(table).to_csv(partial, index=False)
    except OSError as error:
        raise DataError(f"{path}: not writable ({error.strerror or error}); check the folder") from error
