"""Mixup (Zhang et al. 2018, arXiv:1710.09412), CutMix (Yun et al. 2019, arXiv:1905.04899); saliency, metadata too."""

import torch
from torch import Tensor

from selcn.data.datasets import Batch


def mix(batch: Batch, how: str, alpha: float, generator: torch.Generator) -> Batch:
    """Mix each image of a batch with another; one share for the whole batch, sampled from Beta(alpha, alpha).

    Args:
        batch: images (N, 3, H, W) and saliency (N, 1, h, w) as the network takes them, and labels (N,).
        how: `mixup` or `cutmix`.
        alpha: above 0.
        generator: on the CPU; samples share, partners and box.

    Returns:
        The batch with `partner` labels and the `share` (1,) of its own labels.
    """
    share = _beta(alpha, generator)
    order = torch.randperm(len(batch.image), generator=generator).to(batch.image.device)
    if how == "mixup":
        image, *saliency = (_blend(maps, order, share) for maps in (batch.image, *batch.saliency))
    else:
        box = _box(share, generator)
        image, *saliency = (_paste(maps, order, box) for maps in (batch.image, *batch.saliency))
        share = 1 - _area(box, batch.image)
    return batch._replace(
        image=image,
        saliency=tuple(saliency),
        partner=batch.label[order],
        share=torch.tensor([share]).to(image),
        metadata=_blend(batch.metadata, order, share) if batch.metadata.numel() else batch.metadata,
    )


def _beta(alpha: float, generator: torch.Generator) -> float:
    # torch's own Beta takes no generator; a ratio of gamma variates is one.
    one, other = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=generator).tolist()
    return float(one / (one + other)) if one + other else 0.5


def _blend(maps: Tensor, order: Tensor, share: float) -> Tensor:
    return maps * share + maps[order] * (1 - share)


def _box(share: float, generator: torch.Generator) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a box of area 1 - share in the unit square, clipped at its edges."""
    x, y = torch.rand(2, generator=generator).tolist()
    half = (1 - share) ** 0.5 / 2
    return max(x - half, 0.0), max(y - half, 0.0), min(x + half, 1.0), min(y + half, 1.0)


def _pixels(box: tuple[float, float, float, float], maps: Tensor) -> tuple[slice, slice]:
    height, width = maps.shape[-2:]
    left, top, right, bottom = box
    return slice(round(top * height), round(bottom * height)), slice(round(left * width), round(right * width))


def _area(box: tuple[float, float, float, float], image: Tensor) -> float:
    """Share of the image's pixels that the clipped box covers."""
    rows, columns = _pixels(box, image)
    covered = (rows.stop - rows.start) * (columns.stop - columns.start)
    return float(covered / (image.shape[-2] * image.shape[-1]))


def _paste(maps: Tensor, order: Tensor, box: tuple[float, float, float, float]) -> Tensor:
    rows, columns = _pixels(box, maps)
    mixed = maps.clone()
    mixed[..., rows, columns] = maps[order][..., rows, columns]
    return mixed
