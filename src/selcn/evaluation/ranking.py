"""How well scores rank positives above negatives: AUC, average precision, sensitivity at a specificity.

Everything is for B weightings of N images at once, and equal to scikit-learn's with ``sample_weight``.
"""

from typing import NamedTuple

import numpy as np

from selcn.evaluation.predictions import BoolArray, FloatArray


class Counts(NamedTuple):
    """Weight at or above each distinct score, from the highest on, (B, T): of positives, and of negatives."""

    positives: FloatArray
    negatives: FloatArray

    @property
    def all_positives(self) -> FloatArray:
        """Weight of all positives, (B, 1)."""
        return self.positives[:, -1:]

    @property
    def all_negatives(self) -> FloatArray:
        """Weight of all negatives, (B, 1)."""
        return self.negatives[:, -1:]


def count_above(scores: FloatArray, positive: BoolArray, weights: FloatArray) -> Counts:
    """Return the weight of positives and of negatives at or above each distinct score.

    Args:
        scores: (N,), higher for positives.
        positive: whether an image is positive, (N,).
        weights: not negative, (B, N).
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    ordered, hit = weights[:, order], positive[order]
    return Counts(
        np.cumsum(ordered * hit, axis=1)[:, ends],
        np.cumsum(ordered * ~hit, axis=1)[:, ends],
    )


def auc(counts: Counts) -> FloatArray:
    """Return the area under the ROC curve by trapezoids, (B,); NaN without positives or without negatives.

    Args:
        counts: of B weightings.
    """
    height = counts.positives.copy()
    height[:, 1:] += counts.positives[:, :-1]  # twice the mean height of each trapezoid
    width = np.diff(counts.negatives, axis=1, prepend=0)
    area = (height * width).sum(axis=1) / 2
    return fraction(area, (counts.all_positives * counts.all_negatives)[:, 0])


def average_precision(counts: Counts) -> FloatArray:
    """Return the mean precision over the gains in recall, without interpolation, (B,); NaN without positives.

    Args:
        counts: of B weightings.
    """
    precision = np.nan_to_num(fraction(counts.positives, counts.positives + counts.negatives))
    gained = np.diff(counts.positives, axis=1, prepend=0)
    return fraction((precision * gained).sum(axis=1), counts.all_positives[:, 0])


def sensitivity_at(counts: Counts, specificity: float) -> FloatArray:
    """Return the largest sensitivity of all thresholds of at least a specificity, (B,); NaN where AUC is NaN.

    A threshold above every score predicts all as negative: sensitivity 0, specificity 1.

    Args:
        counts: of B weightings.
        specificity: from 0 to 1.
    """
    allowed = counts.negatives <= (1 - specificity) * counts.all_negatives * (1 + 1e-12)
    found = np.where(allowed, counts.positives, 0.0).max(axis=1)
    sensitivity = fraction(found, counts.all_positives[:, 0])
    return np.where(counts.all_negatives[:, 0] > 0, sensitivity, np.nan)


def fraction(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Return ``part / whole``, NaN where ``whole`` is 0.

    Args:
        part: numerators.
        whole: denominators of the same shape, not negative.
    """
    fractions = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=fractions, where=whole > 0)
    return fractions
