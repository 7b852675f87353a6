"""Arrays and tables in, numbers with 95 % intervals out; knows no network."""

from selcn.evaluation.classification import confusion, evaluate_classification
from selcn.evaluation.comparison import compare, verdict
from selcn.evaluation.files import evaluate_file
from selcn.evaluation.intervals import Estimate
from selcn.evaluation.predictions import (
    Predictions,
    read_predictions,
    read_scores,
    write_predictions,
    write_scores,
)
from selcn.evaluation.segmentation import evaluate_segmentation, segmentation_scores, summarise_segmentation

__all__ = [
    "Estimate",
    "Predictions",
    "compare",
    "confusion",
    "evaluate_classification",
    "evaluate_file",
    "evaluate_segmentation",
    "read_predictions",
    "read_scores",
    "segmentation_scores",
    "summarise_segmentation",
    "verdict",
    "write_predictions",
    "write_scores",
]
