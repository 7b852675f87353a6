"""Figures of a run as tables for its page."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import pandas as pd

from selcn.evaluation import Predictions, confusion, verdict
from selcn.evaluation.intervals import Part, fold_parts
from selcn.evaluation.registry import headline_metrics
from selcn.report.finished import Measurement, Measurements

PARTS: tuple[Part, ...] = ("test", "validation")
BALANCED_ACCURACY = "balanced_accuracy"


@dataclass(frozen=True)
class FigureTable:
    """A row a network or a difference, a column a metric.

    Attributes:
        title: what it is of.
        part: which images it was measured on.
        metrics: the columns.
        rows: measurements by metric, by the row's name.
        signed: whether they are differences.
    """

    title: str
    part: Part
    metrics: list[str]
    rows: dict[str, dict[str, Measurement]]
    signed: bool

    def frame(self) -> pd.DataFrame:
        """All figures, one below another."""
        return pd.DataFrame(
            {"name": name, "part": self.part, "metric": metric, **asdict(figures[metric].estimate)}
            for name, figures in self.rows.items()
            for metric in self.metrics
            if metric in figures
        )

    @property
    def sample(self) -> Measurement:
        """Any measurement; all of a part are of the same images."""
        return next(iter(next(iter(self.rows.values())).values()))


@dataclass(frozen=True)
class FoldTable:
    """A row a network, a column a fold, and what there is over all folds.

    Attributes:
        metric: of which metric.
        part: of which images; on the test part a fold stands for its member.
        rows: values by heading, by the row's name.
    """

    metric: str
    part: Part
    rows: dict[str, dict[str, float]]


@dataclass(frozen=True)
class ConfusionTable:
    """Counts of images by truth (row) and prediction (column), each with its share of the row.

    Attributes:
        title: which network's.
        part: which images were counted.
        classes: the columns.
        rows: count and share by truth; a class without images has shares of 0.
    """

    title: str
    part: Part
    classes: list[str]
    rows: dict[str, list[tuple[int, float]]]


@dataclass(frozen=True)
class Comparison:
    """Whether a variant B is better than the standalone A, on the foremost part."""

    a: str
    b: str
    part: Part
    difference: Measurement
    verdict: str


def foremost(measured: Measurements) -> Part:
    """The test part where there is one, else validation."""
    return next(part for part in PARTS if part in measured)


def tabulate(title: str, measured: Mapping[str, Measurements], *, signed: bool = False) -> list[FigureTable]:
    """A table for each part that was measured, of the metrics that a page has room for."""
    tables = []
    for part in PARTS:
        rows = {name: parts[part] for name, parts in measured.items() if part in parts}
        if rows:
            metrics = headline_metrics(metric for figures in rows.values() for metric in figures)
            tables.append(FigureTable(title, part, metrics, rows, signed))
    return tables


def tabulate_folds(figures: pd.DataFrame, metric: str = BALANCED_ACCURACY) -> list[FoldTable]:
    """A metric of each fold, for each part that there is; see `selcn.evaluation.cross_validation`."""
    tables = []
    for part in PARTS:
        rows = figures[(figures["metric"] == metric) & (figures["fold_part"] == part)]
        named = {
            str(row["name"]): {heading: float(row[column]) for column, heading in _over_folds(part, rows).items()}
            for row in rows.to_dict("records")
        }
        if named:
            tables.append(FoldTable(metric, part, named))
    return tables


def _over_folds(part: Part, rows: pd.DataFrame) -> dict[str, str]:
    """Columns that are shown of a part, and their headings."""
    folds = {column: column.replace("-", " ") for column in rows.columns if column.startswith("fold-")}
    ensemble = {"mean_probability": "mean probability", "vote": "vote"}
    together = {"pooled": "pooled"} if part == "validation" else ensemble
    return {**folds, "mean": "mean", "sd": "standard deviation", **together}


def tabulate_confusion(title: str, predictions: Predictions) -> ConfusionTable:
    """The confusion matrix of the test part where there is one, else of validation."""
    part = next(part for part in PARTS if part in fold_parts(predictions.table))
    counts = confusion(predictions, part)
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    rows = {
        truth: [(int(count), float(share)) for count, share in zip(counts.loc[truth], shares.loc[truth], strict=True)]
        for truth in predictions.classes
    }
    return ConfusionTable(title, part, predictions.classes, rows)


def judge_difference(a: str, b: str, measured: Measurements) -> Comparison:
    """The difference B - A of balanced accuracy, in words too."""
    part = foremost(measured)
    difference = measured[part][BALANCED_ACCURACY]
    return Comparison(a, b, part, difference, verdict(difference.estimate, BALANCED_ACCURACY, a, b))
