"""Regions of masks and boxes around them, in NumPy."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

LESION_THRESHOLD = 0.5
"""Probability above which a pixel counts as lesion."""
GROWTH = 0.2  # of the box's width and height, on every side

# Neighbours within an image, diagonal ones too, as OpenCV counts; none in the next image of the batch.
_NEIGHBOURS = np.zeros((3, 3, 3), dtype=bool)
_NEIGHBOURS[1] = True


def largest_regions(masks: Bools) -> Bools:
    """The largest 8-connected region of each mask (N, H, W); of equals the topmost. An empty mask stays empty.

    Args:
        masks: bool (N, H, W).
    """
    labels = np.empty(masks.shape, dtype=np.int32)
    ndimage.label(masks, _NEIGHBOURS, output=labels)
    sizes = np.bincount(labels.ravel())[1:]
    # Labels are given in scanning order, so an image's labels follow those of the image before it.
    last_label = np.maximum.accumulate(labels.max(axis=(1, 2), initial=0))
    image = np.searchsorted(last_label, np.arange(1, len(sizes) + 1))
    by_size = np.lexsort((-sizes, image))
    images, first = np.unique(image[by_size], return_index=True)
    chosen = np.full(len(masks), -1)
    chosen[images] = by_size[first] + 1
    regions: Bools = labels == chosen[:, None, None]
    return regions


def without_islands(lesions: Floats) -> Floats:
    """Lesion probability (N, H, W), p turned to 1 - p in all but the largest region of each mask.

    So the mask has one region, and what is hardly above the threshold becomes hardly below it: rounding moves little.

    Args:
        lesions: float (N, H, W); the mask is what is above `LESION_THRESHOLD`.
    """
    masks = lesions > LESION_THRESHOLD
    return np.where(masks & ~largest_regions(masks), 1 - lesions, lesions)


def grown_boxes(masks: Bools, grow: float = GROWTH) -> Ints:
    """Boxes (N, 4), pixels x, y, width, height, around the largest region of masks (N, H, W).

    Each box is grown by ``grow`` of its width and height on every side, to the nearest pixel, and each side is clipped
    to the image on its own: a box at the left edge loses what lies outside and reaches no further right for it. Without
    lesion the box is the whole image.

    Args:
        masks: bool (N, H, W).
        grow: share of a box's width and height, at least 0.
    """
    return region_boxes(largest_regions(masks), grow)


def region_boxes(regions: Bools, grow: float = GROWTH) -> Ints:
    """As `grown_boxes`, of masks that have one region at most.

    Args:
        regions: bool (N, H, W), of `largest_regions`.
        grow: share of a box's width and height, at least 0.
    """
    left, right = _extent(np.asarray(regions.any(axis=1)), grow)
    top, bottom = _extent(np.asarray(regions.any(axis=2)), grow)
    return np.stack([left, top, right - left, bottom - top], axis=1)


def _extent(occupied: Bools, grow: float) -> tuple[Ints, Ints]:
    """First and one past the last of occupied positions (N, L), grown and clipped; all of L where none is."""
    length = occupied.shape[1]
    first, end = occupied.argmax(axis=1), length - occupied[:, ::-1].argmax(axis=1)
    margin = np.rint((end - first) * grow).astype(np.int64)
    empty = ~occupied.any(axis=1)
    start = np.where(empty, 0, np.maximum(first - margin, 0))
    stop = np.where(empty, length, np.minimum(end + margin, length))
    return start, stop
