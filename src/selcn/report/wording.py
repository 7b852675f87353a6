"""How figures are written on the page."""

import math

from selcn.evaluation import Estimate, metric_spec


def spoken(metric: str) -> str:
    """A metric's display name, with a note where less is better."""
    return metric_spec(metric).heading


def number(value: float, *, signed: bool = False) -> str:
    """Three decimals, always with its sign where it is a difference."""
    if math.isnan(value):
        return "undefined"
    return f"{value:+z.3f}" if signed else f"{value:z.3f}"


def bounds(estimate: Estimate, *, signed: bool = False) -> str:
    """The 95 % interval, `low to high`."""
    if math.isnan(estimate.low):
        return "no interval"
    return f"{number(estimate.low, signed=signed)} to {number(estimate.high, signed=signed)}"


def interval(estimate: Estimate, *, signed: bool = False) -> str:
    """Value and interval on one line."""
    return f"{number(estimate.value, signed=signed)} ({bounds(estimate, signed=signed)})"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
