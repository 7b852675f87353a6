"""Arrays and tables in, metrics with 95 % intervals out; knows no network."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selcn.evaluation.calibration import reliability
    from selcn.evaluation.classification import confusion, evaluate_classification
    from selcn.evaluation.comparison import compare, verdict
    from selcn.evaluation.conformal import PredictionSets, fit_prediction_sets, prediction_set_table
    from selcn.evaluation.costs import CostTable, read_costs
    from selcn.evaluation.crossvalidation import cross_validation
    from selcn.evaluation.decisions import decision_curve
    from selcn.evaluation.evaluate import evaluate_file
    from selcn.evaluation.further import Further, evaluate_further
    from selcn.evaluation.intervals import Estimate
    from selcn.evaluation.label_errors import LabelErrors, find_label_errors
    from selcn.evaluation.localisation import summarise_saliency, summarise_saliency_by
    from selcn.evaluation.ood import ood_table
    from selcn.evaluation.predictions import (
        Predictions,
        read_predictions,
        read_scores,
        write_predictions,
        write_scores,
    )
    from selcn.evaluation.recalibration import Recalibration, fit_recalibration
    from selcn.evaluation.registry import MetricSpec, metric_spec
    from selcn.evaluation.reloaded import compare_by_profile, evaluate_by_profile
    from selcn.evaluation.robustness import robustness_table
    from selcn.evaluation.saliency_quality import saliency_quality_table
    from selcn.evaluation.score_comparison import compare_files, compare_scores
    from selcn.evaluation.seeds import compare_seeds, evaluate_seeds
    from selcn.evaluation.segmentation import evaluate_segmentation, segmentation_scores, summarise_segmentation
    from selcn.evaluation.selective import abstention_threshold, area_under_risk_coverage, risk_coverage
    from selcn.evaluation.subgroups import score_subgroup_table, subgroup_table, worst_gap
    from selcn.evaluation.surfaces import summarise_surfaces, surface_scores
    from selcn.evaluation.variance import training_variance

__all__ = [
    "CostTable",
    "Estimate",
    "Further",
    "LabelErrors",
    "MetricSpec",
    "PredictionSets",
    "Predictions",
    "Recalibration",
    "abstention_threshold",
    "area_under_risk_coverage",
    "compare",
    "compare_by_profile",
    "compare_files",
    "compare_scores",
    "compare_seeds",
    "confusion",
    "cross_validation",
    "decision_curve",
    "evaluate_by_profile",
    "evaluate_classification",
    "evaluate_file",
    "evaluate_further",
    "evaluate_seeds",
    "evaluate_segmentation",
    "find_label_errors",
    "fit_prediction_sets",
    "fit_recalibration",
    "metric_spec",
    "ood_table",
    "prediction_set_table",
    "read_costs",
    "read_predictions",
    "read_scores",
    "reliability",
    "risk_coverage",
    "robustness_table",
    "saliency_quality_table",
    "score_subgroup_table",
    "segmentation_scores",
    "subgroup_table",
    "summarise_saliency",
    "summarise_saliency_by",
    "summarise_segmentation",
    "summarise_surfaces",
    "surface_scores",
    "training_variance",
    "verdict",
    "worst_gap",
    "write_predictions",
    "write_scores",
]

_MODULES = {
    "CostTable": "costs",
    "Estimate": "intervals",
    "Further": "further",
    "LabelErrors": "label_errors",
    "MetricSpec": "registry",
    "PredictionSets": "conformal",
    "Predictions": "predictions",
    "Recalibration": "recalibration",
    "abstention_threshold": "selective",
    "area_under_risk_coverage": "selective",
    "compare": "comparison",
    "compare_by_profile": "reloaded",
    "compare_files": "score_comparison",
    "compare_scores": "score_comparison",
    "compare_seeds": "seeds",
    "confusion": "classification",
    "cross_validation": "crossvalidation",
    "decision_curve": "decisions",
    "evaluate_by_profile": "reloaded",
    "evaluate_classification": "classification",
    "evaluate_file": "evaluate",
    "evaluate_further": "further",
    "evaluate_seeds": "seeds",
    "evaluate_segmentation": "segmentation",
    "find_label_errors": "label_errors",
    "fit_prediction_sets": "conformal",
    "fit_recalibration": "recalibration",
    "metric_spec": "registry",
    "ood_table": "ood",
    "prediction_set_table": "conformal",
    "read_costs": "costs",
    "read_predictions": "predictions",
    "read_scores": "predictions",
    "reliability": "calibration",
    "risk_coverage": "selective",
    "robustness_table": "robustness",
    "saliency_quality_table": "saliency_quality",
    "score_subgroup_table": "subgroups",
    "segmentation_scores": "segmentation",
    "subgroup_table": "subgroups",
    "summarise_saliency": "localisation",
    "summarise_saliency_by": "localisation",
    "summarise_segmentation": "segmentation",
    "summarise_surfaces": "surfaces",
    "surface_scores": "surfaces",
    "training_variance": "variance",
    "verdict": "comparison",
    "worst_gap": "subgroups",
    "write_predictions": "predictions",
    "write_scores": "predictions",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    # Prediction needs recalibration only, and must not wait for pandas, SciPy and the rest.
    if name in _MODULES:
        return getattr(import_module(f"selcn.evaluation.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'selcn.evaluation' has no attribute {name!r}")
