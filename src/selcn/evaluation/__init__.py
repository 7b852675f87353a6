"""Arrays and tables in, numbers with 95 % intervals out; knows no network."""

from selcn.evaluation.calibration import Temperature, fit_temperature, reliability
from selcn.evaluation.classification import confusion, evaluate_classification
from selcn.evaluation.comparison import compare, verdict
from selcn.evaluation.crossvalidation import cross_validation
from selcn.evaluation.evaluate import evaluate_file
from selcn.evaluation.intervals import Estimate
from selcn.evaluation.localisation import summarise_saliency, summarise_saliency_by
from selcn.evaluation.predictions import (
    Predictions,
    read_predictions,
    read_scores,
    write_predictions,
    write_scores,
)
from selcn.evaluation.segmentation import evaluate_segmentation, segmentation_scores, summarise_segmentation
from selcn.evaluation.selective import abstention_threshold, area_under_risk_coverage, risk_coverage
from selcn.evaluation.subgroups import subgroup_table

__all__ = [
    "Estimate",
    "Predictions",
    "Temperature",
    "abstention_threshold",
    "area_under_risk_coverage",
    "compare",
    "confusion",
    "cross_validation",
    "evaluate_classification",
    "evaluate_file",
    "evaluate_segmentation",
    "fit_temperature",
    "read_predictions",
    "read_scores",
    "reliability",
    "risk_coverage",
    "segmentation_scores",
    "subgroup_table",
    "summarise_saliency",
    "summarise_saliency_by",
    "summarise_segmentation",
    "verdict",
    "write_predictions",
    "write_scores",
]
