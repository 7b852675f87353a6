"""Masking of batches of images in PyTorch; the strategies are in `selcn.data.imaging.masking`."""

import torch
from torch import Tensor

from selcn.config.networks import IMAGE_AND_MASK
from selcn.data.imaging.masking import find_masking, visible_region
from selcn.labels import NO_MASKING


def visible(mask: Tensor, masking: str) -> Tensor:
    """The region that a masking leaves visible (N, 1, H, W), 1 or 0; everything where there is no lesion.

    Args:
        mask: of the lesion (N, 1, H, W), 0 or 1.
        masking: name of a strategy, in any case.

    Raises:
        ConfigError: there is no strategy of that name.
    """
    strategy = find_masking(masking)
    if strategy.name == NO_MASKING:
        return torch.ones_like(mask)
    if strategy.region is None:  # the mask itself: no detour by the CPU, and it can be traced
        empty = mask.amax(dim=(1, 2, 3), keepdim=True) == 0
        return torch.where(empty, torch.ones_like(mask), mask)
    region = visible_region(masking, mask[:, 0].cpu().numpy() > 0.5)
    return torch.from_numpy(region)[:, None].to(mask)


def apply_masking(images: Tensor, mask: Tensor, masking: str) -> Tensor:
    """Images (N, C, H, W) that are black outside the region that a masking leaves visible.

    Args:
        images: (N, C, H, W).
        mask: of the lesion (N, 1, H, W), 0 or 1; ignored by the masking `none`.
        masking: name of a strategy, in any case.

    Raises:
        ConfigError: there is no strategy of that name.
        ValueError: images and masks differ in number or size.
    """
    if find_masking(masking).name == NO_MASKING:
        return images
    if images.shape[:1] + images.shape[2:] != mask.shape[:1] + mask.shape[2:]:
        raise ValueError(f"images {tuple(images.shape)} and masks {tuple(mask.shape)} differ in number or size")
    return images * visible(mask, masking)


def add_mask(images: Tensor, mask: Tensor, wanted: str) -> Tensor:
    """The images, or (N, 4, H, W) with the mask as fourth channel where ``wanted`` is `image+mask`.

    Args:
        images: (N, 3, H, W) in [0, 1].
        mask: of the lesion (N, 1, H, W), 0 or 1; all 0 where none was found.
        wanted: a classifier's key `input`.
    """
    return torch.cat([images, mask.to(images)], dim=1) if wanted == IMAGE_AND_MASK else images
