"""Metrics of each class' decisions: predictive values and F-beta, also at a stated prevalence; net benefit."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from selcn.errors import ConfigError
from selcn.evaluation.classification import one_against_rest, positive_classes
from selcn.evaluation.intervals import RESAMPLES, bootstrap
from selcn.evaluation.operating_curves import primary_subset
from selcn.evaluation.predictions import BoolArray, FloatArray, Predictions
from selcn.evaluation.ranking import fraction
from selcn.labels import LabelSet

NET_BENEFIT_PERCENTS = (5, 10, 20)
"""Threshold probabilities, in per cent, at which the net benefit is given."""
CURVE_PERCENTS = range(1, 51)
"""Threshold probabilities of a decision curve, in per cent."""


class Outcomes(NamedTuple):
    """Weight of true and false positives and negatives, (B,) each, for one class or several against the rest."""

    tp: FloatArray
    fp: FloatArray
    fn: FloatArray
    tn: FloatArray

    @property
    def sensitivity(self) -> FloatArray:
        """TP / (TP + FN)."""
        return fraction(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> FloatArray:
        """TN / (TN + FP)."""
        return fraction(self.tn, self.tn + self.fp)

    def at(self, prevalence: float) -> "Outcomes":
        """The same sensitivity and specificity where another share is positive, as shares; NaN where one is undefined.

        Args:
            prevalence: share of positives, between 0 and 1.
        """
        found, spared = self.sensitivity * prevalence, self.specificity * (1 - prevalence)
        return Outcomes(found, 1 - prevalence - spared, prevalence - found, spared)


def outcomes(matrices: FloatArray, positive: BoolArray) -> Outcomes:
    """Count a question's outcomes in confusion matrices.

    Args:
        matrices: (B, C, C), rows the truth, columns the predicted class.
        positive: which classes are positive, (C,).
    """
    ill, well = matrices[:, positive].sum(axis=1), matrices[:, ~positive].sum(axis=1)
    return Outcomes(
        tp=ill[:, positive].sum(axis=1),
        fp=well[:, positive].sum(axis=1),
        fn=ill[:, ~positive].sum(axis=1),
        tn=well[:, ~positive].sum(axis=1),
    )


def decision_metrics(
    matrices: FloatArray, labels: LabelSet, prevalence: Mapping[str, float], beta: float
) -> dict[str, FloatArray]:
    """Return specificity, PPV, NPV, F-beta and LR+ of each class against the rest, and Matthews correlation, (B,).

    A value whose denominator is 0 is NaN. At a stated prevalence, PPV, NPV and F-beta follow from sensitivity and
    specificity by Bayes' theorem.

    Args:
        matrices: (B, C, C), rows the truth, columns the predicted class.
        labels: the label set of the C classes.
        prevalence: shares, between 0 and 1, of the classes for which one is stated (or `malignant`).
        beta: of F-beta, above 0; recall counts beta times as much as precision.
    """
    metrics = {"mcc": matthews(matrices)}
    for name, positive in positive_classes(labels).items():
        counted = outcomes(matrices, positive)
        metrics[f"specificity_{name}"] = counted.specificity
        metrics |= _predictive(counted, name, beta)
        metrics[f"lr_plus_{name}"] = fraction(counted.sensitivity, 1 - counted.specificity)
        if name in prevalence:
            shifted = _predictive(counted.at(prevalence[name]), name, beta)
            percent = f"{100 * prevalence[name]:.10g}"
            metrics |= {f"{metric}_at_prevalence_{percent}": value for metric, value in shifted.items()}
    return metrics


def matthews(matrices: FloatArray) -> FloatArray:
    """Return the correlation of truth and prediction (Matthews 1975; of several classes Gorodkin 2004), (B,).

    Args:
        matrices: (B, C, C); NaN where truth or prediction is all of one class.
    """
    actual, predicted, whole = matrices.sum(axis=2), matrices.sum(axis=1), matrices.sum(axis=(1, 2))
    covariance = np.trace(matrices, axis1=1, axis2=2) * whole - (actual * predicted).sum(axis=1)
    spread = [whole**2 - (side**2).sum(axis=1) for side in (actual, predicted)]
    # Of fractional weights, a variance of 0 is rounded.
    mixed = np.minimum(*spread) > 1e-12 * whole**2
    return fraction(covariance, np.sqrt(np.maximum(spread[0] * spread[1], 0)) * mixed)


def net_benefit(counted: Outcomes, threshold: float | FloatArray) -> FloatArray:
    """Return TP/N - FP/N t/(1 - t) (Vickers & Elkin 2006); NaN where an outcome is.

    Args:
        counted: those called positive at the threshold; shares or weights.
        threshold: probability t from which on an image is called positive, between 0 and 1; one or as many as
            ``counted`` has.
    """
    benefit: FloatArray = (counted.tp - counted.fp * threshold / (1 - threshold)) / np.sum(counted, axis=0)
    return benefit


def net_benefits(predictions: Predictions, weights: FloatArray) -> dict[str, FloatArray]:
    """Return the net benefit of each class against the rest at each of `NET_BENEFIT_PERCENTS`, (B,).

    Args:
        predictions: of N images.
        weights: not negative, (B, N).
    """
    questions = one_against_rest(predictions.truth, predictions.probabilities, predictions.labels)
    thresholds = np.asarray(NET_BENEFIT_PERCENTS) / 100
    return {
        f"net_benefit_{name}_at_{percent}": values
        for name, (scores, positive) in questions.items()
        for percent, values in zip(
            NET_BENEFIT_PERCENTS, net_benefit(_called(scores, positive, thresholds, weights), thresholds).T, strict=True
        )
    }


def decision_curve(
    predictions: Predictions,
    positive: str = "malignant",
    *,
    prevalence: float | None = None,
    percents: Sequence[int] = CURVE_PERCENTS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the net benefit over thresholds with 95 % intervals, and that of calling every image positive.

    Of the test subset or, where there is none, of validation. Calling no image positive has a net benefit of 0.

    Args:
        predictions: of any images.
        positive: the class that is looked for, or `malignant`.
        prevalence: the share of positives to assume, between 0 and 1; None for that of the images.
        percents: threshold probabilities in per cent, each above 0 and below 100.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Returns:
        Columns ``threshold, net_benefit, low, high, treat_all``; the threshold is a fraction.

    Raises:
        ConfigError: no such class, or a prevalence or a threshold that is out of range.
    """
    check_prevalence({} if prevalence is None else {positive: prevalence})
    if not all(0 < percent < 100 for percent in percents):
        raise ConfigError(f"thresholds are {', '.join(map(str, percents))} %; give values above 0 and below 100")
    subset = primary_subset(predictions)
    questions = one_against_rest(subset.truth, subset.probabilities, subset.labels)
    if positive not in questions:
        raise ConfigError(f"decision curve of {positive}: no such class; choose {', '.join(questions)}")
    thresholds = np.asarray(percents) / 100
    scores, is_positive = questions[positive]

    def benefit(weights: FloatArray, floor: FloatArray) -> FloatArray:
        counted = _called(scores, is_positive, floor, weights)
        return net_benefit(counted if prevalence is None else counted.at(prevalence), thresholds)

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        return dict(zip(map(str, percents), benefit(weights, thresholds).T, strict=True))

    found = bootstrap(statistic, subset.table["group"], resamples=resamples, seed=seed)
    columns = {name: [getattr(one, name) for one in found.values()] for name in ("value", "low", "high")}
    treat_all = benefit(np.ones((1, len(scores))), np.zeros(len(thresholds)))[0]
    curve = pd.DataFrame({"threshold": thresholds, **columns, "treat_all": treat_all})
    return curve.rename(columns={"value": "net_benefit"})


def check_prevalence(prevalence: Mapping[str, float], labels: LabelSet | None = None) -> None:
    """Refuse a prevalence that is no share or, where the label set is known, of no class of it.

    Args:
        prevalence: shares by class.
        labels: the label set; None where it is not known.

    Raises:
        ConfigError: see above.
    """
    known = positive_classes(labels) if labels else prevalence
    for name, share in prevalence.items():
        if name not in known:
            raise ConfigError(f"prevalence of {name}: no such class; choose {', '.join(known)}")
        if not 0 < share < 1:
            raise ConfigError(f"prevalence of {name} is {share:g}; give a share between 0 and 1, for example 0.02")


def _called(scores: FloatArray, positive: BoolArray, thresholds: FloatArray, weights: FloatArray) -> Outcomes:
    """Outcomes (B, T) of calling an image positive from each of T thresholds on."""
    called = scores[:, None] >= thresholds
    ill, well = positive[:, None], ~positive[:, None]
    cells = (called & ill, called & well, ~called & ill, ~called & well)
    return Outcomes(*(weights @ cell.astype(np.float64) for cell in cells))


def _predictive(counted: Outcomes, name: str, beta: float) -> dict[str, FloatArray]:
    """PPV, NPV and F-beta (van Rijsbergen 1979) of a class."""
    tp, fp, fn, tn = counted
    both = (1 + beta**2) * tp
    return {
        f"ppv_{name}": fraction(tp, tp + fp),
        f"npv_{name}": fraction(tn, tn + fn),
        f"f{beta:g}_{name}": fraction(both, both + beta**2 * fn + fp),
    }
