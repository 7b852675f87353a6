"""How far the borders of two masks lie apart: boundary F1 and the 95 % Hausdorff distance, as fractions."""

import numpy as np
from scipy import ndimage

from selcn.evaluation.predictions import BoolArray, FloatArray, IntArray

TOLERANCE = 0.0075
"""Of the image's diagonal: how far a border may lie off and still count as found (Csurka et al. 2013)."""
_CROSS = ndimage.generate_binary_structure(2, 1)[None]


def boundary_scores(truth: BoolArray, prediction: BoolArray) -> dict[str, FloatArray]:
    """Compare the borders of masks (N, H, W); a border is what of a mask touches its outside or the image's edge.

    - `boundary_f1`: harmonic mean of the shares of either border that lie within `TOLERANCE` of the other one, and at
      least within one pixel;
    - `hausdorff95`: 95 % of either border lie nearer to the other one than that, the worse of both ways, in diagonals
      of the image; 0 is best.

    Two empty masks agree: 1 and 0. One empty mask is as wrong as can be: 0 and 1.
    """
    diagonal = float(np.hypot(*truth.shape[1:]))
    tolerance = max(1.0, TOLERANCE * diagonal)
    borders = _border(truth), _border(prediction)
    one_way = _Distances(borders[1], borders[0]), _Distances(borders[0], borders[1])
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


class _Distances:
    """Distance of every point of one border to the nearest of another, image by image."""

    def __init__(self, border: BoolArray, other: BoolArray) -> None:
        image, *_ = np.nonzero(border)
        distance = _distance_to(other)[border]
        order = np.lexsort((distance, image))
        self.sorted, self.image = distance[order], image
        self.count: IntArray = np.bincount(image, minlength=len(border))
        self.first: IntArray = np.cumsum(self.count) - self.count

    def share_within(self, tolerance: float) -> FloatArray:
        within = np.bincount(self.image, weights=self.sorted <= tolerance, minlength=len(self.count))
        return within / np.maximum(self.count, 1)

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


def _border(mask: BoolArray) -> BoolArray:
    return np.asarray(mask & ~ndimage.binary_erosion(mask, _CROSS), dtype=np.bool_)


def _distance_to(border: BoolArray) -> FloatArray:
    """Pixels from everywhere to the nearest border point of the same image (N, H, W)."""
    # Image by image: one transform in three dimensions, with the images far apart, takes four times as long.
    distances = [ndimage.distance_transform_edt(~one) for one in border]
    return np.stack(distances) if distances else np.empty(border.shape)
