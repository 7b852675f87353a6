"""The metric registry: the display name, direction and unit of every metric, and whether small tables show it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from selcn.errors import ConfigError
from selcn.labels import LabelSet

Direction = Literal["higher", "lower", "neither"]

Compute = Callable[
    [npt.NDArray[np.int64], npt.NDArray[np.float64], LabelSet, npt.NDArray[np.float64]], npt.NDArray[np.float64]
]
"""From class numbers (N,), probabilities (N, C), the label set of the C classes and weights (B, N) to values (B,)."""
_NUMBER = r"\d+(?:\.\d+)?"
_PLACEHOLDERS = {
    "class": ".+",
    "network": ".+",
    "percent": r"\d+",
    "cells": r"\d+",
    "share": _NUMBER,
    "beta": _NUMBER,
}
_HEADLINE_CLASSES = ("mel", "melanoma", "malignant")


@dataclass(frozen=True)
class MetricSpec:
    """Display and direction of a metric, or of a family of metrics with one member a class.

    Attributes:
        name: as in the column `metric` of tables; a family's has the placeholders `{class}`, `{network}`,
            `{percent}` and `{cells}` (whole), `{share}` (in per cent) and `{beta}`.
        label: the display name, with the same placeholders.
        direction: which values are better; "neither" where a metric only describes.
        unit: "fraction" (its differences are given in percentage points), "nats", "diagonals" (of the image), "pixels",
            "mm", or "" for a number without unit.
        headline: whether tables with limited room show it.
    """

    name: str
    label: str
    direction: Direction = "higher"
    unit: str = "fraction"
    headline: bool = False

    @property
    def heading(self) -> str:
        """The label, and a note where lower values are better."""
        return f"{self.label} (less is better)" if self.direction == "lower" else self.label


METRICS = {
    spec.name: spec
    for spec in (
        # Of classification.
        MetricSpec("balanced_accuracy", "balanced accuracy", headline=True),
        MetricSpec("kappa", "Cohen's kappa", headline=True),
        MetricSpec("weighted_kappa", "quadratically weighted kappa"),
        MetricSpec("macro_f1", "macro F1", headline=True),
        MetricSpec("accuracy", "accuracy", headline=True),
        MetricSpec("macro_precision", "macro precision"),
        MetricSpec("macro_recall", "macro recall"),
        MetricSpec("weighted_precision", "weighted precision"),
        MetricSpec("weighted_recall", "weighted recall"),
        MetricSpec("weighted_f1", "weighted F1"),
        MetricSpec("macro_auc", "macro AUC", headline=True),
        MetricSpec("macro_average_precision", "macro average precision"),
        MetricSpec("top_2_accuracy", "top-2 accuracy"),
        *(MetricSpec(f"sensitivity_{name}", f"sensitivity for {name}", headline=True) for name in _HEADLINE_CLASSES),
        MetricSpec("auc_mel", "AUC of melanoma", headline=True),
        MetricSpec("auc_melanoma", "AUC of melanoma", headline=True),
        MetricSpec("auc_malignant", "AUC of malignant", headline=True),
        MetricSpec("sensitivity_asymmetric", "sensitivity for asymmetric", headline=True),
        MetricSpec("sensitivity_{class}_at_{percent}", "sensitivity for {class} at {percent} % specificity"),
        MetricSpec("sensitivity_{class}", "sensitivity for {class}"),
        MetricSpec("auc_{class}", "AUC of {class}"),
        MetricSpec("average_precision_{class}", "average precision of {class}"),
        MetricSpec("ece", "calibration error", direction="lower", headline=True),
        MetricSpec("nll", "negative log-likelihood", direction="lower", unit="nats", headline=True),
        MetricSpec("brier", "Brier score", direction="lower", unit=""),
        # Of classification, where asked for (see `selcn.evaluation.further`).
        MetricSpec("mcc", "Matthews correlation", unit=""),
        MetricSpec("expected_cost", "expected cost", direction="lower", unit=""),
        MetricSpec(
            "expected_cost_normalised", "expected cost over that without a classifier", direction="lower", unit=""
        ),
        MetricSpec("expected_cost_bayes", "expected cost of the cheapest decisions", direction="lower", unit=""),
        MetricSpec("class_wise_ece", "class-wise calibration error", direction="lower"),
        MetricSpec("ece_kde", "kernel-density calibration error", direction="lower", unit=""),
        MetricSpec("root_brier", "root Brier score", direction="lower", unit=""),
        MetricSpec("ppv_{class}_at_prevalence_{share}", "PPV of {class} at a prevalence of {share} %"),
        MetricSpec("npv_{class}_at_prevalence_{share}", "NPV of {class} at a prevalence of {share} %"),
        MetricSpec("f{beta}_{class}_at_prevalence_{share}", "F{beta} of {class} at a prevalence of {share} %"),
        MetricSpec("specificity_{class}", "specificity for {class}"),
        MetricSpec("ppv_{class}", "PPV of {class}"),
        MetricSpec("npv_{class}", "NPV of {class}"),
        MetricSpec("f{beta}_{class}", "F{beta} of {class}"),
        MetricSpec("lr_plus_{class}", "positive likelihood ratio of {class}", unit=""),
        MetricSpec("net_benefit_{class}_at_{percent}", "net benefit for {class} at {percent} %", unit=""),
        # Of prediction sets (see `selcn.evaluation.conformal`).
        MetricSpec("coverage", "coverage of prediction sets", direction="neither"),
        MetricSpec("coverage_by_lesion", "coverage of prediction sets, lesions weighing alike", direction="neither"),
        MetricSpec("set_size", "classes in a prediction set", direction="lower", unit=""),
        MetricSpec("empty_sets", "empty prediction sets", direction="lower"),
        # Of images out of distribution (see `selcn.evaluation.ood`).
        MetricSpec("auroc", "AUROC"),
        MetricSpec("fpr_at_95_tpr", "FPR at 95 % TPR", direction="lower"),
        MetricSpec("warned", "out of distribution, warned of"),
        MetricSpec("false_alarms", "usual images warned of", direction="lower"),
        # Of corrupted images (see `selcn.evaluation.robustness`).
        MetricSpec("abstained", "abstentions", direction="neither"),
        MetricSpec("saliency_stability", "rank correlation with the clean map", unit=""),
        # Of predictions without a truth.
        MetricSpec("predicted_{class}", "predicted {class}", direction="neither"),
        MetricSpec("mean_confidence", "mean confidence", direction="neither"),
        MetricSpec("mean_entropy", "mean entropy", direction="neither", unit="nats"),
        # Of segmentation.
        MetricSpec("dice", "Dice", headline=True),
        MetricSpec("jaccard", "Jaccard", headline=True),
        MetricSpec("thresholded_jaccard", "thresholded Jaccard", headline=True),
        MetricSpec("boundary_f1", "boundary F1", headline=True),
        MetricSpec("hausdorff95", "Hausdorff 95 %, in diagonals", direction="lower", unit="diagonals", headline=True),
        MetricSpec("sensitivity", "sensitivity", headline=True),
        MetricSpec("specificity", "specificity", headline=True),
        # Of segmentation, where a tolerance is given (see `selcn.evaluation.surfaces`).
        MetricSpec("nsd", "normalised surface distance"),
        MetricSpec("boundary_iou", "boundary IoU"),
        MetricSpec("assd", "average symmetric surface distance", direction="lower", unit="pixels"),
        MetricSpec("masd", "mean average surface distance", direction="lower", unit="pixels"),
        MetricSpec("assd_mm", "average symmetric surface distance", direction="lower", unit="mm"),
        MetricSpec("masd_mm", "mean average surface distance", direction="lower", unit="mm"),
        # Of saliency.
        MetricSpec("iou", "IoU"),
        MetricSpec("overlap", "overlap"),
        MetricSpec("pointing", "pointing game"),
        MetricSpec("energy", "energy inside the region"),
        MetricSpec("iou_auc", "IoU over all thresholds"),
        MetricSpec("flat", "flat maps", direction="lower"),
        MetricSpec("rank_correlation", "rank correlation with the network's map", direction="neither", unit=""),
        MetricSpec("deletion", "deletion", direction="lower"),
        MetricSpec("insertion", "insertion"),
        # Of saliency, where asked for (see `selcn.evaluation.saliency_quality`).
        MetricSpec("road", "ROAD", unit=""),
        MetricSpec("infidelity", "infidelity", direction="lower"),
        MetricSpec("max_sensitivity", "sensitivity to noise", direction="lower", unit=""),
        MetricSpec("complexity", "complexity", direction="neither"),
        MetricSpec("agreement_members", "rank correlation between members", unit=""),
        MetricSpec("agreement_seeds", "rank correlation between seeds", unit=""),
        MetricSpec("agreement_{network}", "rank correlation with the map of {network}", direction="neither", unit=""),
        MetricSpec("randomised_{percent}", "rank correlation, {percent} % of layers random", "lower", unit=""),
        MetricSpec("map_asymmetry", "difference from its own mirror image", direction="neither"),
        MetricSpec("asymmetry_auc", "AUC of asymmetric lesions by the map's difference from its mirror image"),
        MetricSpec("place_{cells}", "known place found, {cells} x {cells} cells"),
    )
}
"""Every metric and family by name, in the order in which tables show them; a family comes after its exceptions."""

REGISTERED: dict[str, Compute] = {}
"""How the metrics of `register_metric` are computed, by name."""


def register_metric(spec: MetricSpec, compute: Compute) -> None:
    """Make a metric of class probabilities known to evaluation, comparisons, reports and bundles.

    Args:
        spec: what is known of it; its name without placeholders.
        compute: its values under B weightings of N images; a weighting counts an image as often as its weight says, so
            that weights of 1 give the metric itself and the others its bootstrap interval. NaN where it is undefined.

    Raises:
        ConfigError: the name is taken, or has placeholders.
    """
    if "{" in spec.name:
        raise ConfigError(f"metric {spec.name}: has a placeholder; register one metric a class")
    try:
        _find(spec.name)
    except ConfigError:
        METRICS[spec.name], REGISTERED[spec.name] = spec, compute
        return
    raise ConfigError(f"metric {spec.name}: is registered already; choose another name")


def metric_spec(name: str) -> MetricSpec:
    """Return the entry of a metric; for a member of a family with its own name and label.

    Args:
        name: as in the column `metric`, for example `kappa` or `auc_bcc`.

    Raises:
        ConfigError: no such metric is registered.
    """
    entry, words = _find(name)
    return replace(entry, name=name, label=entry.label.format(**words)) if words else entry


def headline_metrics(names: Iterable[str]) -> list[str]:
    """Return those metrics that tables with limited room show, in the registry's order.

    Args:
        names: of the metrics that were measured, in any order.

    Raises:
        ConfigError: one of them is not registered.
    """
    order = list(METRICS)
    found = {name: _find(name)[0] for name in names}
    shown = [name for name, entry in found.items() if entry.headline]
    return sorted(shown, key=lambda name: order.index(found[name].name))


def _find(name: str) -> tuple[MetricSpec, dict[str, str]]:
    """The entry of a metric, and the values of its placeholders."""
    if name in METRICS:
        return METRICS[name], {}
    for entry in METRICS.values():
        pattern = re.sub(r"\{(\w+)\}", lambda found: f"(?P<{found[1]}>{_PLACEHOLDERS[found[1]]})", entry.name)
        if match := re.fullmatch(pattern, name):
            return entry, match.groupdict()
    raise ConfigError(f"unknown metric {name!r}; register it in selcn.evaluation.registry")
