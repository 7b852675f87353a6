"""Metrics that are given where asked for: of decisions and their costs, at a stated prevalence, of calibration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from selcn.errors import ConfigError
from selcn.evaluation.calibration import class_wise_error, root_brier
from selcn.evaluation.classification import confusion_matrices
from selcn.evaluation.costs import CostTable, cost_metrics
from selcn.evaluation.decisions import check_prevalence, decision_metrics, net_benefits
from selcn.evaluation.intervals import RESAMPLES, Statistic, interval_table
from selcn.evaluation.kernel_calibration import kernel_calibration_of
from selcn.evaluation.predictions import FloatArray, Predictions

BETA = 2.0
"""Recall counts twice as much as precision: a missed melanoma is worse than a needless excision."""


@dataclass(frozen=True, eq=False)
class Further:
    """Which metrics are asked for besides the usual ones.

    Attributes:
        every: all of them; else those of the costs and of the prevalence alone.
        costs: what each decision costs; None without expected costs.
        prevalence: shares of classes, between 0 and 1, at which PPV, NPV and F-beta are given as well.
        beta: of F-beta, above 0.

    Raises:
        ConfigError: beta or a prevalence is out of range.
    """

    every: bool = False
    costs: CostTable | None = None
    prevalence: Mapping[str, float] = field(default_factory=dict)
    beta: float = BETA

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_prevalence(self.prevalence)
        if not 0 < self.beta < np.inf:
            raise ConfigError(f"beta is {self.beta:g}; give a number above 0, for example 2")

    def __bool__(self) -> bool:
        """Whether any metric is asked for."""
        return self.every or self.costs is not None or bool(self.prevalence)


NOTHING = Further()
"""No metric besides the usual ones."""


def evaluate_further(
    predictions: Predictions, asked: Further, *, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Return the metrics asked for with 95 % intervals, on the resamples of `evaluate_classification`.

    Args:
        predictions: of any images; of hard labels, metrics that need probabilities are left out.
        asked: which metrics.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups``; for units see the metric registry.

    Raises:
        DataError: the costs are of other classes.
        ConfigError: a prevalence is of no class, or ``resamples`` is below 1.
    """
    check_prevalence(asked.prevalence, predictions.labels)
    return interval_table(
        predictions.table,
        lambda rows: further_metrics_of(Predictions(predictions.labels, rows), asked),
        resamples=resamples,
        seed=seed,
    )


def further_metrics_of(predictions: Predictions, asked: Further, *, calibration: bool = True) -> Statistic:
    """Return the statistic of the metrics asked for.

    Args:
        predictions: of the N images that the statistic takes weights of.
        asked: which metrics.
        calibration: whether those of calibration are among them, which take longer than those of decisions.

    Raises:
        DataError: the costs are of other classes.
    """
    truth, probabilities, labels = predictions.truth, predictions.probabilities, predictions.labels
    predicted = predictions.predicted
    hard = bool(np.isin(probabilities, (0, 1)).all())
    costs = asked.costs.of(labels.names) if asked.costs else None
    soft = asked.every and not hard
    kernel_error = kernel_calibration_of(truth, probabilities) if soft and calibration else None

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        matrices = confusion_matrices(truth, predicted, len(labels.names), weights)
        metrics = decision_metrics(matrices, labels, asked.prevalence, asked.beta)
        if not asked.every:
            metrics = {name: value for name, value in metrics.items() if "_at_prevalence_" in name}
        if costs is not None:
            metrics |= cost_metrics(truth, probabilities, predicted, costs, weights, hard=hard)
        if soft:
            metrics |= net_benefits(predictions, weights)
        if kernel_error is None:
            return metrics
        return metrics | {
            "class_wise_ece": class_wise_error(truth, probabilities, weights),
            "ece_kde": kernel_error(weights),
            "root_brier": root_brier(truth, probabilities, weights),
        }

    return statistic
