"""Masking of batches of images in PyTorch; the strategies are in `selcn.data.imaging.masking`."""

import torch
from torch import Tensor

from selcn.config.sections import IMAGE_AND_MASK
from selcn.data.imaging.masking import find_masking, visible_region
from selcn.data.imaging.masks import without_islands
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
    region = visible_region(masking, (mask[:, 0] > 0.5).cpu().numpy())
    # Both ways as bytes, a quarter of float32.
    return torch.from_numpy(region)[:, None].to(mask.device).to(mask.dtype)


def apply_masking(images: Tensor, mask: Tensor, masking: str, regions: dict[str, Tensor] | None = None) -> Tensor:
    """Images (N, C, H, W) that are black outside the region that a masking leaves visible.

    Args:
        images: (N, C, H, W).
        mask: of the lesion (N, 1, H, W), 0 or 1; ignored by the masking `none`. It may be on another device: stored
            masks cost no copy from a GPU while they are on the CPU.
        masking: name of a strategy, in any case.
        regions: what maskings leave visible of this mask (N, 1, H, W), by name; one that is not among them is computed
            and added.

    Raises:
        ConfigError: there is no strategy of that name.
        ValueError: images and masks differ in number or size.
    """
    if find_masking(masking).name == NO_MASKING:
        return images
    if regions is not None and masking in regions:
        return images * regions[masking]
    if images.shape[:1] + images.shape[2:] != mask.shape[:1] + mask.shape[2:]:
        raise ValueError(f"images {tuple(images.shape)} and masks {tuple(mask.shape)} differ in number or size")
    region = visible(mask, masking).to(images)
    if regions is not None:
        regions[masking] = region
    return images * region


def keep_largest(lesion: Tensor) -> Tensor:
    """Lesion probability (N, 1, H, W) whose mask has one region, see `without_islands`; computed on the CPU.

    Args:
        lesion: (N, 1, H, W).
    """
    return torch.from_numpy(without_islands(lesion[:, 0].float().cpu().numpy()))[:, None].to(lesion)


def add_mask(images: Tensor, mask: Tensor, wanted: str) -> Tensor:
    """The images, or (N, 4, H, W) with the mask as fourth channel where ``wanted`` is `image+mask`.

    Args:
        images: (N, 3, H, W) in [0, 1].
        mask: of the lesion (N, 1, H, W), 0 or 1; all 0 where none was found.
        wanted: a classifier's key `input`.
    """
    return torch.cat([images, mask.to(images)], dim=1) if wanted == IMAGE_AND_MASK else images
