"""How well scores rank positives above negatives: AUC, average precision, sensitivity at a specificity.

Everything is for B weightings of N images at once, and equal to scikit-learn's with ``sample_weight``.
"""

from typing import NamedTuple

import numpy as np

from selcn.evaluation.predictions import BoolArray, FloatArray, IntArray


class Counts(NamedTuple):
    """Weights of B weightings at each of the T distinct scores that a positive has, from the highest on.

    Other thresholds add negatives alone, which no measure below gains from.

    Attributes:
        positives: of positives at or above the score, (T, B).
        negatives: of negatives at or above it, (T, B).
        above: of negatives above it, (T, B).
        all_negatives: of all negatives, (B,).
    """

    positives: FloatArray
    negatives: FloatArray
    above: FloatArray
    all_negatives: FloatArray

    @property
    def all_positives(self) -> FloatArray:
        """Weight of all positives, (B,)."""
        return self.positives[-1] if len(self.positives) else np.zeros(len(self.all_negatives))


def count_above(scores: FloatArray, positive: BoolArray, weights: FloatArray) -> Counts:
    """Return the weight of positives and of negatives above each score that a positive has.

    Args:
        scores: (N,), higher for positives.
        positive: whether an image is positive, (N,).
        weights: not negative, (B, N); fastest where an image's weights are contiguous (Fortran order).
    """
    by_image = np.ascontiguousarray(weights.T)  # sums over images are then sums of rows
    levels, hits = np.unique(-scores[positive], return_counts=True)
    hit, missed = (np.flatnonzero(one)[np.argsort(-scores[one], kind="stable")] for one in (positive, ~positive))
    above, at_or_above = (np.searchsorted(-scores[missed], levels, side=side) for side in ("left", "right"))
    negatives = _sums_before(by_image[missed], np.concatenate([above, at_or_above, [len(missed)]]))
    return Counts(
        _sums_before(by_image[hit], np.cumsum(hits)),
        negatives[len(levels) : -1],
        negatives[: len(levels)],
        negatives[-1],
    )


def _sums_before(rows: FloatArray, ends: IntArray) -> FloatArray:
    """The sum of the rows before each end, (E, B).

    Args:
        rows: (M, B).
        ends: from 0 to M, (E,).
    """
    starts = np.unique(np.append(ends[ends < len(rows)], 0))
    parts = np.add.reduceat(rows, starts, axis=0) if len(rows) else np.zeros((1, rows.shape[1]))
    sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(parts, axis=0)])
    return np.asarray(sums[np.searchsorted(starts, ends)])


def auc(counts: Counts) -> FloatArray:
    """Return the area under the ROC curve by trapezoids, (B,); NaN without positives or without negatives.

    Args:
        counts: of B weightings.
    """
    gained = np.diff(counts.positives, axis=0, prepend=0)
    below = counts.all_negatives - (counts.negatives + counts.above) / 2  # of equal scores half
    return fraction((gained * below).sum(axis=0), counts.all_positives * counts.all_negatives)


def average_precision(counts: Counts) -> FloatArray:
    """Return the mean precision over the gains in recall, without interpolation, (B,); NaN without positives.

    Args:
        counts: of B weightings.
    """
    called = counts.positives + counts.negatives
    gained = np.diff(counts.positives, axis=0, prepend=0)
    # Where nothing is called positive, nothing is gained either.
    precise = (counts.positives * gained / np.where(called > 0, called, 1)).sum(axis=0)
    return fraction(precise, counts.all_positives)


def sensitivity_at(counts: Counts, specificity: float) -> FloatArray:
    """Return the largest sensitivity of all thresholds of at least a specificity, (B,); NaN where AUC is NaN.

    A threshold above every score predicts all as negative: sensitivity 0, specificity 1.

    Args:
        counts: of B weightings.
        specificity: from 0 to 1.
    """
    allowed = counts.negatives <= (1 - specificity) * counts.all_negatives * (1 + 1e-12)
    found = np.where(allowed, counts.positives, 0.0).max(axis=0, initial=0)
    sensitivity = fraction(found, counts.all_positives)
    return np.where(counts.all_negatives > 0, sensitivity, np.nan)


def fraction(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Return ``part / whole``, NaN where ``whole`` is 0.

    Args:
        part: numerators.
        whole: denominators of the same shape, not negative.
    """
    fractions = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=fractions, where=whole > 0)
    return fractions
