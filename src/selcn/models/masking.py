"""What of an image a network is shown, given the lesion's mask: all, the lesion, or the box around it."""

import torch
from torch import Tensor

from selcn.data.imaging.masks import GROWTH, grown_boxes, largest_regions
from selcn.labels import Masking


def largest_region(mask: Tensor) -> Tensor:
    """The largest 8-connected lesion region of each mask (N, 1, H, W), 0 or 1; of equals the topmost.

    A mask without lesion stays empty.
    """
    return torch.from_numpy(largest_regions(mask[:, 0].cpu().numpy() > 0.5))[:, None].to(mask)


def lesion_boxes(mask: Tensor, grow: float = GROWTH) -> Tensor:
    """Boxes (N, 4), int64 pixels x, y, width, height, of masks (N, 1, H, W); see `grown_boxes`."""
    return torch.from_numpy(grown_boxes(mask[:, 0].cpu().numpy() > 0.5, grow)).to(mask.device)


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


def _inside(boxes: Tensor, mask: Tensor) -> Tensor:
    x, y, width, height = (column[:, None] for column in boxes.unbind(dim=1))
    columns = torch.arange(mask.shape[3], device=boxes.device)
    rows = torch.arange(mask.shape[2], device=boxes.device)
    within_x = (columns >= x) & (columns < x + width)
    within_y = (rows >= y) & (rows < y + height)
    return (within_y[:, None, :, None] & within_x[:, None, None, :]).to(mask)
