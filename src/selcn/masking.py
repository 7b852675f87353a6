"""What of an image a network is shown, given the lesion's mask: all, the lesion, or the box around it."""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from selcn.labels import Masking

GROWTH = 0.2  # of the box's width and height, on every side

# Neighbours within an image, diagonal ones too, as OpenCV counts; none in the next image of the batch.
_NEIGHBOURS = np.zeros((3, 3, 3), dtype=bool)
_NEIGHBOURS[1] = True


def largest_region(mask: Tensor) -> Tensor:
    """The largest 8-connected lesion region of each mask (N, 1, H, W), 0 or 1; of equals the topmost.

    A mask without lesion stays empty.
    """
    lesion = mask[:, 0].cpu().numpy() > 0.5
    labels = np.empty(lesion.shape, dtype=np.int32)
    ndimage.label(lesion, _NEIGHBOURS, output=labels)
    sizes = np.bincount(labels.ravel())[1:]
    # Labels are given in scanning order, so an image's labels follow those of the image before it.
    last_label = np.maximum.accumulate(labels.max(axis=(1, 2), initial=0))
    image = np.searchsorted(last_label, np.arange(1, len(sizes) + 1))
    by_size = np.lexsort((-sizes, image))
    images, first = np.unique(image[by_size], return_index=True)
    chosen = np.full(len(lesion), -1)
    chosen[images] = by_size[first] + 1
    region = labels == chosen[:, None, None]
    return torch.from_numpy(region)[:, None].to(mask)


def lesion_boxes(mask: Tensor, grow: float = GROWTH) -> Tensor:
    """Boxes (N, 4), int64 pixels x, y, width, height, around the largest region of masks (N, 1, H, W).

    Each box is grown by ``grow`` of its width and height on every side, to the nearest pixel, and each side is clipped
    to the image on its own: a box at the left edge loses what lies outside and reaches no further right for it. Without
    lesion the box is the whole image.
    """
    region = largest_region(mask)[:, 0] > 0
    left, right = _extent(region.any(dim=1), grow)
    top, bottom = _extent(region.any(dim=2), grow)
    return torch.stack([left, top, right - left, bottom - top], dim=1)


def region(mask: Tensor, masking: Masking, grow: float = GROWTH) -> Tensor:
    """What stays visible (N, 1, H, W), 1 or 0, of images with masks (N, 1, H, W), 1 or 0.

    ``none``: everything; ``segmentation``: the mask; ``lae``: the grown box. Without lesion it is always everything,
    since a black image would tell the next network nothing.
    """
    match masking:
        case Masking.NONE:
            return torch.ones_like(mask)
        case Masking.SEGMENTATION:
            empty = mask.amax(dim=(1, 2, 3), keepdim=True) == 0
            return torch.where(empty, torch.ones_like(mask), mask)
        case Masking.LAE:
            return _inside(lesion_boxes(mask, grow), mask)


def apply_masking(images: Tensor, mask: Tensor, masking: Masking, grow: float = GROWTH) -> Tensor:
    """Images (N, C, H, W) black outside the region that ``masking`` leaves visible; mask (N, 1, H, W), 0 or 1.

    Raises:
        ValueError: images and masks differ in number or size.
    """
    if images.shape[:1] + images.shape[2:] != mask.shape[:1] + mask.shape[2:]:
        raise ValueError(f"images {tuple(images.shape)} and masks {tuple(mask.shape)} differ in number or size")
    return images if masking is Masking.NONE else images * region(mask, masking, grow)


def _extent(occupied: Tensor, grow: float) -> tuple[Tensor, Tensor]:
    """First and one past the last of occupied positions (N, L), grown and clipped; all of L where none is."""
    length = occupied.shape[1]
    positions = torch.arange(length, device=occupied.device)
    first = torch.where(occupied, positions, length).amin(dim=1)
    end = torch.where(occupied, positions + 1, 0).amax(dim=1)
    margin = ((end - first) * grow).round().long()
    empty = end == 0
    start = torch.where(empty, 0, (first - margin).clamp(min=0))
    stop = torch.where(empty, length, (end + margin).clamp(max=length))
    return start, stop


def _inside(boxes: Tensor, mask: Tensor) -> Tensor:
    x, y, width, height = (column[:, None] for column in boxes.unbind(dim=1))
    columns = torch.arange(mask.shape[3], device=boxes.device)
    rows = torch.arange(mask.shape[2], device=boxes.device)
    within_x = (columns >= x) & (columns < x + width)
    within_y = (rows >= y) & (rows < y + height)
    return (within_y[:, None, :, None] & within_x[:, None, None, :]).to(mask)
