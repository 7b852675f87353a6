"""Metrics of a run as headlines and tables for its report."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import pandas as pd

from selcn.evaluation import Predictions, confusion, verdict
from selcn.evaluation.intervals import Part, fold_parts
from selcn.evaluation.registry import headline_metrics
from selcn.inference.bundle import BundleConfig
from selcn.labels import LabelSet
from selcn.report.measurements import (
    PARTS,
    Measurement,
    Measurements,
    measurements,
    network_metrics,
    primary_part,
)
from selcn.report.wording import label_title
from selcn.runs.run import Run

BALANCED_ACCURACY, DICE = "balanced_accuracy", "dice"


@dataclass(frozen=True)
class Headline:
    """The metric of a network that the report opens with.

    Attributes:
        network: its name.
        kind: what it predicts.
        metric: balanced accuracy of a classifier, Dice of a segmentation network.
        part: the subset, `test` or `validation`.
        measurement: its value on that subset.
        chance: its value by chance, where that is known.
    """

    network: str
    kind: str
    metric: str
    part: Part
    measurement: Measurement
    chance: float | None = None


@dataclass(frozen=True)
class MetricTable:
    """Metrics (columns) of networks or of paired differences (rows).

    Attributes:
        title: of the table.
        part: the subset, `test` or `validation`.
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
        """All metrics, one below another."""
        return pd.DataFrame(
            {"name": name, "part": self.part, "metric": metric, **asdict(found[metric].estimate)}
            for name, found in self.rows.items()
            for metric in self.metrics
            if metric in found
        )

    @property
    def sample(self) -> Measurement:
        """Any measurement; all of a subset are of the same images."""
        return next(iter(next(iter(self.rows.values())).values()))


@dataclass(frozen=True)
class FoldTable:
    """A metric of each network (rows) and fold (columns), and over all folds.

    Attributes:
        metric: its name.
        part: the subset; on `test` a fold's column is that of its member.
        rows: values by heading, by the row's name.
    """

    metric: str
    part: Part
    rows: dict[str, dict[str, float]]


@dataclass(frozen=True)
class ConfusionTable:
    """Counts of images by truth (row) and prediction (column), each with its share of the row.

    Attributes:
        title: name of the network.
        part: the subset, `test` or `validation`.
        classes: the columns.
        rows: count and share by truth; shares of a class without images are undefined, None.
    """

    title: str
    part: Part
    classes: list[str]
    rows: dict[str, list[tuple[int, float | None]]]


@dataclass(frozen=True)
class Comparison:
    """The comparison of a network B with a network A, on the test subset or else on validation.

    Attributes:
        a: name of A.
        b: name of B.
        part: the subset, `test` or `validation`.
        difference: of balanced accuracy, B - A, paired.
        verdict: the conclusion, in one sentence.
    """

    a: str
    b: str
    part: Part
    difference: Measurement
    verdict: str


def headlines(run: Run, bundle: BundleConfig) -> list[Headline]:
    """A metric of each network that the bundle holds, its target first; networks without labelled images have none.

    Args:
        run: that is evaluated.
        bundle: of the run.
    """
    names = [bundle.target, *(name for name in bundle.networks if name != bundle.target)]
    return [_headline(run, name, found) for name in names if (found := network_metrics(run, name))]


def _headline(run: Run, name: str, found: Measurements) -> Headline:
    part = primary_part(found)
    if name == run.graph.segmenter:
        return Headline(name, "Segmentation", DICE, part, found[part][DICE])
    labels = run.labels(name)
    measurement = found[part][BALANCED_ACCURACY]
    return Headline(name, label_title(labels), BALANCED_ACCURACY, part, measurement, 1 / len(labels.names))


def tabulate(
    title: str, found: Mapping[str, Measurements], *, first: str = BALANCED_ACCURACY, signed: bool = False
) -> list[MetricTable]:
    """A table for each measured subset, of the headline metrics.

    Args:
        title: of the tables.
        found: metrics by the row's name.
        first: the metric of the first column; the others follow in the registry's order.
        signed: whether they are differences.
    """
    tables = []
    for part in PARTS:
        rows = {name: parts[part] for name, parts in found.items() if part in parts}
        if rows:
            metrics = headline_metrics(metric for of_row in rows.values() for metric in of_row)
            tables.append(MetricTable(title, part, sorted(metrics, key=lambda one: one != first), rows, signed))
    return tables


def tabulate_borders(network: str, found: pd.DataFrame) -> list[MetricTable]:
    """Scores of the borders of masks, a table for each subset.

    Args:
        network: name of the segmentation network.
        found: of `border_metrics`.
    """
    parts = measurements(found)
    title = f"Borders, within {found['tolerance'].iloc[0]:.3g} pixels"
    metrics = list(dict.fromkeys(found["metric"]))
    return [MetricTable(title, part, metrics, {network: parts[part]}, signed=False) for part in PARTS if part in parts]


def tabulate_by_labels(found: Iterable[tuple[str, LabelSet, Measurements]]) -> list[MetricTable]:
    """Tables of classifiers, those of one label set together.

    Args:
        found: the row's name, the label set and the metrics of each classifier.
    """
    by_labels: dict[LabelSet, dict[str, Measurements]] = {}
    for name, labels, of_row in found:
        by_labels.setdefault(labels, {})[name] = of_row
    return [table for labels, rows in by_labels.items() for table in tabulate(label_title(labels), rows)]


def tabulate_folds(found: pd.DataFrame, metric: str = BALANCED_ACCURACY) -> list[FoldTable]:
    """A metric of each fold, a table for each subset that there is.

    Args:
        found: as `selcn.evaluation.cross_validation` gives it, with a column ``name``.
        metric: its name.
    """
    tables = []
    for part in PARTS:
        rows = found[(found["metric"] == metric) & (found["fold_part"] == part)]
        named = {
            str(row["name"]): {heading: float(row[column]) for column, heading in _over_folds(part, rows).items()}
            for row in rows.to_dict("records")
        }
        if named:
            tables.append(FoldTable(metric, part, named))
    return tables


def _over_folds(part: Part, rows: pd.DataFrame) -> dict[str, str]:
    """Columns that are shown of a subset, and their headings."""
    folds = {column: column.replace("-", " ") for column in rows.columns if column.startswith("fold-")}
    ensemble = {"mean_probability": "mean probability", "vote": "vote"}
    together = {"pooled": "pooled"} if part == "validation" else ensemble
    return {**folds, "mean": "mean", "sd": "standard deviation", **together}


def tabulate_confusion(title: str, predictions: Predictions) -> ConfusionTable:
    """The confusion matrix of the test subset where there is one, else of validation.

    Args:
        title: the network's name.
        predictions: of it.
    """
    part = next(part for part in PARTS if part in fold_parts(predictions.table))
    counts = confusion(predictions, part)
    rows = {truth: _with_shares([*counts.loc[truth].astype(int)]) for truth in predictions.classes}
    return ConfusionTable(title, part, predictions.classes, rows)


def _with_shares(counts: list[int]) -> list[tuple[int, float | None]]:
    images = sum(counts)
    return [(count, count / images if images else None) for count in counts]


def compare_measurements(a: str, b: str, found: Measurements) -> Comparison:
    """The comparison of two networks by their paired difference of balanced accuracy.

    Args:
        a: name of A.
        b: name of B.
        found: differences B - A.
    """
    part = primary_part(found)
    difference = found[part][BALANCED_ACCURACY]
    return Comparison(a, b, part, difference, verdict(difference.estimate, BALANCED_ACCURACY, a, b))
