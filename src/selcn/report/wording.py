"""How numbers, metrics and label sets are written in the report."""

import math
from collections.abc import Iterable

from selcn.evaluation import Estimate, metric_spec
from selcn.labels import LabelSet


def spoken(metric: str) -> str:
    """A metric's display name, with a note where lower is better.

    Args:
        metric: its name in tables, for example `macro_f1`.
    """
    return metric_spec(metric).heading


def label_title(labels: LabelSet) -> str:
    """A label set's column and its name, or its classes where the configuration gives it none.

    Args:
        labels: of a classifier.
    """
    named = ", ".join(labels.names) if labels.name == "own" else labels.name
    return f"{labels.column.replace('_', ' ').capitalize()} ({named})"


def number(value: float, *, signed: bool = False) -> str:
    """Three decimals.

    Args:
        value: any number, or NaN.
        signed: whether a positive number has its sign too, as differences do.
    """
    if math.isnan(value):
        return "undefined"
    return f"{value:+z.3f}" if signed else f"{value:z.3f}"


def bounds(estimate: Estimate, *, signed: bool = False) -> str:
    """The 95 % interval, `low to high`.

    Args:
        estimate: whose interval is NaN where it has none.
        signed: see `number`.
    """
    if math.isnan(estimate.low):
        return "no interval"
    return f"{number(estimate.low, signed=signed)} to {number(estimate.high, signed=signed)}"


def interval(estimate: Estimate, *, signed: bool = False) -> str:
    """Value and interval on one line.

    Args:
        estimate: of a metric.
        signed: see `number`.
    """
    return f"{number(estimate.value, signed=signed)} ({bounds(estimate, signed=signed)})"


def duration(seconds: float) -> str:
    """Seconds in the unit that people would use.

    Args:
        seconds: at least 0.
    """
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def group_word(units: Iterable[str]) -> str:
    """The name of the unit of splitting, such as lesions; groups where there are several.

    Args:
        units: as `selcn.data.catalog.groups` names them.
    """
    kinds = {unit.partition(":")[0] for unit in units}
    return f"{kinds.pop()}s" if len(kinds) == 1 else "groups"
