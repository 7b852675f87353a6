"""How figures are written on the page."""

import math

from selcn.evaluation import Estimate

_NAMES = {
    "kappa": "Cohen's kappa",
    "macro_f1": "macro F1",
    "macro_auc": "macro AUC",
    "auc_mel": "AUC of melanoma",
    "auc_malignant": "AUC of malignant",
    "ece": "calibration error (less is better)",
    "nll": "log-likelihood loss (less is better)",
    "thresholded_jaccard": "thresholded Jaccard",
    "boundary_f1": "boundary F1",
    "hausdorff95": "Hausdorff 95 %, in diagonals (less is better)",
    "iou": "IoU",
    "pointing": "pointing game",
    "energy": "energy on it",
    "iou_auc": "IoU over all thresholds",
    "rank_correlation": "rank correlation with the network's map",
    "deletion": "deletion (less is better)",
    "dice": "Dice",
    "jaccard": "Jaccard",
}


def spoken(metric: str) -> str:
    """A metric's column name as people write it."""
    return _NAMES.get(metric) or metric.replace("sensitivity_", "sensitivity for ").replace("_", " ")


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
