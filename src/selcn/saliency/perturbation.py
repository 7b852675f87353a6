"""Faithfulness of a map: deletion and insertion curves (Petsiuk et al. 2018, RISE, arXiv:1806.07421)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

STEPS = 10
GREY = (0.485, 0.456, 0.406)
"""ImageNet's mean colour, which normalisation maps to 0: the value of deleted pixels."""
_BLUR = 5 / 224
"""Standard deviation of the blur that insertion starts from, as a share of the width."""

Probability = Callable[[Tensor], Tensor]
"""From masked images (N, 3, H, W) to the probability of each image's own target class (N,)."""


def deletion_insertion(
    probability: Probability, seen: Tensor, saliency: Tensor, steps: int = STEPS
) -> tuple[Tensor, Tensor]:
    """Areas under the curves of the target class' probability as the most salient pixels are deleted, and inserted.

    A faithful map has a small deletion area (its pixels were needed) and a large insertion area (they are enough).

    Args:
        probability: from images (N, 3, H, W) to the probability of each image's target class (N,).
        seen: masked images (N, 3, H, W) in [0, 1], as the classifier takes them; a fourth channel is left as it is.
        saliency: (N, 1, h, w), resized bilinearly; ties are broken at random, with a fixed seed.
        steps: number of equal shares of the pixels that are deleted or inserted one after another.

    Returns:
        Deletion and insertion, (N,) each, in [0, 1], by the trapezoidal rule.
    """
    rank = pixel_ranks(saliency, seen.shape[-2:])
    colours, mask = seen[:, :3], seen[:, 3:]
    grey, blurred = seen.new_tensor(GREY)[:, None, None], _blur(colours)
    deletion, insertion = [], []
    for step in range(steps + 1):
        first = rank < step / steps
        deletion.append(probability(torch.cat([torch.where(first, grey, colours), mask], dim=1)))
        insertion.append(probability(torch.cat([torch.where(first, colours, blurred), mask], dim=1)))
    return _area(deletion), _area(insertion)


def pixel_ranks(saliency: Tensor, size: torch.Size) -> Tensor:
    """Rank of each pixel (N, 1, H, W) within its image, as a share: 0 for the most salient, below 1 for the least.

    Args:
        saliency: (N, 1, h, w), resized bilinearly; ties are broken at random, with a fixed seed.
        size: height and width H, W.
    """
    stretched = F.interpolate(saliency, size=size, mode="bilinear", align_corners=False)
    flat = stretched.flatten(1)
    turn = torch.randperm(flat.shape[1], generator=torch.Generator().manual_seed(0)).to(flat.device)
    order = turn[flat[:, turn].argsort(dim=1, descending=True, stable=True)]
    place = torch.arange(flat.shape[1], device=flat.device, dtype=flat.dtype) / flat.shape[1]
    return torch.empty_like(flat).scatter_(1, order, place.expand_as(flat)).view_as(stretched)


def _blur(seen: Tensor) -> Tensor:
    sigma = _BLUR * seen.shape[-1]
    reach = max(1, round(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, device=seen.device, dtype=seen.dtype)
    bell = torch.exp(-0.5 * (offsets / sigma) ** 2)
    bell = (bell / bell.sum()).expand(seen.shape[1], 1, -1)
    padded = F.pad(seen, (reach, reach, reach, reach), mode="replicate")
    rows = F.conv2d(padded, bell[:, :, None, :], groups=seen.shape[1])
    return F.conv2d(rows, bell[:, :, :, None], groups=seen.shape[1])


def _area(values: list[Tensor]) -> Tensor:
    return torch.trapezoid(torch.stack(values, dim=1), dx=1 / (len(values) - 1), dim=1)
