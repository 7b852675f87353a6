"""Per-image scores of predicted masks, by pixels and by borders, and their means with intervals."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from selcn.evaluation.intervals import RESAMPLES, Statistic, interval_table
from selcn.evaluation.predictions import BoolArray, FloatArray, IntArray, check_scores, read_scores, score_columns

JACCARD_THRESHOLD = 0.65
"""Below this Jaccard an image counts 0 (ISIC 2018, task 1; Codella et al. 2019)."""
BORDER_TOLERANCE = 0.0075
"""Fraction of the image's diagonal by which a border may be off and still count as found (Csurka et al. 2013)."""
_CROSS = ndimage.generate_binary_structure(2, 1)[None]
_SLACK = 1e-9  # relative; distances of pixels next to each other in size differ by more up to 20,000 pixels


def segmentation_scores(truth: BoolArray, prediction: BoolArray) -> pd.DataFrame:
    """Return scores of masks by pixels and by borders, one row an image.

    Every score by pixels is a fraction, and 1 where its denominator is 0, because nothing could be wrong:

    - both masks empty: all five scores are 1;
    - only the truth empty: Dice and Jaccard 0, sensitivity 1 (no lesion to miss);
    - only the prediction empty: Dice, Jaccard and sensitivity 0;
    - the truth fills the image: specificity 1 (no background to mistake).

    Args:
        truth: lesion masks, bool (N, H, W).
        prediction: predicted masks of the same shape, bool.

    Returns:
        Columns ``dice, jaccard, sensitivity, specificity, accuracy`` and those of `boundary_scores`.

    Raises:
        ValueError: the arrays are not bool, not (N, H, W) or differ in shape.
    """
    if truth.dtype != np.bool_ or prediction.dtype != np.bool_:
        raise ValueError(f"masks are {truth.dtype} and {prediction.dtype}; threshold them to bool first")
    if truth.ndim != 3 or truth.shape != prediction.shape:
        raise ValueError(f"masks are {truth.shape} and {prediction.shape}; both must be one (N, H, W)")
    pixels = np.full(len(truth), truth.shape[1] * truth.shape[2])
    hits, lesion, found = (mask.sum(axis=(1, 2)) for mask in (truth & prediction, truth, prediction))
    union = lesion + found - hits
    correct = pixels - union + hits
    counts = {
        "dice": (2 * hits, lesion + found),
        "jaccard": (hits, union),
        "sensitivity": (hits, lesion),
        "specificity": (pixels - union, pixels - lesion),
        "accuracy": (correct, pixels),
    }
    of_pixels = {score: _fraction_or_one(*parts) for score, parts in counts.items()}
    return pd.DataFrame(of_pixels | boundary_scores(truth, prediction))


def boundary_scores(truth: BoolArray, prediction: BoolArray) -> dict[str, FloatArray]:
    """Return scores of borders (N,); a border is every pixel of a mask with a 4-neighbour outside mask or image.

    - `boundary_f1`: harmonic mean of the fractions of either border within `BORDER_TOLERANCE`, and at least within one
      pixel, of the other (Csurka et al. 2013);
    - `hausdorff95`: 95th percentile of the distances from a border to the other, the larger of both directions, in
      diagonals of the image; 0 is best.

    Two empty masks agree: 1 and 0. If one mask is empty, both scores are worst: 0 and 1.

    Args:
        truth: lesion masks, bool (N, H, W).
        prediction: predicted masks of the same shape, bool.
    """
    diagonal = float(np.hypot(*truth.shape[1:]))
    tolerance = max(1.0, BORDER_TOLERANCE * diagonal)
    borders = border_of(truth), border_of(prediction)
    one_way = BorderDistances(borders[1], borders[0]), BorderDistances(borders[0], borders[1])
    precision, recall = (way.share_within(tolerance) for way in one_way)
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros(len(truth)), where=total > 0)
    farthest = np.maximum(*(way.percentile(95) for way in one_way)) / diagonal
    empty = ~truth.any(axis=(1, 2)), ~prediction.any(axis=(1, 2))
    cases = [empty[0] & empty[1], empty[0] ^ empty[1]]
    return {
        "boundary_f1": np.select(cases, [1.0, 0.0], f1),
        "hausdorff95": np.select(cases, [0.0, 1.0], farthest),
    }


def evaluate_segmentation(path: Path, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Return mean scores of a segmentation score file with 95 % intervals; see :func:`summarise_segmentation`.

    Args:
        path: a file of scores.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Raises:
        DataError: the file is wrong.
        ConfigError: ``resamples`` is below 1.
    """
    return summarise_segmentation(read_scores(path), resamples=resamples, seed=seed)


def summarise_segmentation(scores: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Return means over images of the scores and of ISIC's thresholded Jaccard, with 95 % intervals by lesion.

    Args:
        scores: a table as :func:`selcn.evaluation.predictions.check_scores` takes it, one row an image.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups``; for units see the metric registry.

    Raises:
        DataError: the table is wrong.
        ConfigError: ``resamples`` is below 1.
    """
    return interval_table(check_scores(scores), mean_scores_of, resamples=resamples, seed=seed)


class BorderDistances:
    """Distance in pixels from every point of one border to the nearest point of another, image by image.

    Args:
        border: bool (N, H, W).
        other: the other's, of the same shape.
    """

    def __init__(self, border: BoolArray, other: BoolArray) -> None:
        """Measure them."""
        image, *_ = np.nonzero(border)
        distance = _distance_to(other)[border]
        order = np.lexsort((distance, image))
        self.sorted, self.image = distance[order], image
        self.count: IntArray = np.bincount(image, minlength=len(border))
        self.first: IntArray = np.cumsum(self.count) - self.count

    def share_within(self, tolerance: float) -> FloatArray:
        """Fraction of the points within a distance (N,), 0 where there is no border."""
        return self.count_within(tolerance) / np.maximum(self.count, 1)

    def count_within(self, tolerance: float) -> FloatArray:
        """Number of points within a distance (N,)."""
        found = within(self.sorted, tolerance)
        return np.bincount(self.image, weights=found, minlength=len(self.count)).astype(np.float64)

    def total(self) -> FloatArray:
        """Sum of the distances (N,)."""
        return np.bincount(self.image, weights=self.sorted, minlength=len(self.count)).astype(np.float64)

    def percentile(self, percent: float) -> FloatArray:
        """Interpolated linearly, as NumPy does; 0 where there is no border."""
        if not len(self.sorted):
            return np.zeros(len(self.count))
        place = np.maximum(self.count - 1, 0) * percent / 100
        below = np.floor(place).astype(np.int64)
        last = len(self.sorted) - 1
        low = self.sorted[np.minimum(self.first + below, last)]
        high = self.sorted[np.minimum(self.first + np.minimum(below + 1, np.maximum(self.count - 1, 0)), last)]
        return np.where(self.count > 0, low + (high - low) * (place - below), 0.0)


def within(distances: FloatArray, tolerance: float) -> BoolArray:
    """Return which distances a tolerance holds, however the tolerance was rounded: 0.3 / 0.1 is below 3.

    Args:
        distances: in pixels, of any shape.
        tolerance: in pixels.
    """
    return np.asarray(distances <= tolerance * (1 + _SLACK), dtype=np.bool_)


def border_of(mask: BoolArray) -> BoolArray:
    """Return the border of each mask: its pixels with a 4-neighbour outside mask or image.

    Args:
        mask: bool (N, H, W).
    """
    return np.asarray(mask & ~ndimage.binary_erosion(mask, _CROSS), dtype=np.bool_)


def _distance_to(border: BoolArray) -> FloatArray:
    """Pixels from everywhere to the nearest border point of the same image (N, H, W)."""
    # Image by image: one transform in three dimensions, with the images far apart, takes four times as long.
    distances = [ndimage.distance_transform_edt(~one) for one in border]
    return np.stack(distances) if distances else np.empty(border.shape)


def mean_scores_of(scores: pd.DataFrame) -> Statistic:
    """Return the statistic of the mean of each score.

    Args:
        scores: of the N images that the statistic takes weights of.
    """
    jaccard = scores["jaccard"]
    table = scores[score_columns(scores)].assign(thresholded_jaccard=jaccard.where(jaccard >= JACCARD_THRESHOLD, 0.0))

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        means = weights @ table.to_numpy() / weights.sum(axis=1, keepdims=True)
        return dict(zip(table.columns, means.T, strict=True))

    return statistic


def _fraction_or_one(part: IntArray, whole: IntArray) -> FloatArray:
    fractions = np.ones(len(whole))
    np.divide(part, whole, out=fractions, where=whole > 0)
    return fractions
