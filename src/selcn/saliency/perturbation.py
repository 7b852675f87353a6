"""Does what a map marks matter? Deletion and insertion curves (Petsiuk et al. 2018, RISE)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

STEPS = 10
GREY = (0.485, 0.456, 0.406)
"""ImageNet's mean colour, which normalisation turns to 0: what deleted pixels become."""
_BLUR = 5 / 224
"""Standard deviation of the blur that insertion starts from, as a share of the width."""

Probability = Callable[[Tensor], Tensor]
"""Images like those seen (N, 3, H, W) to the probability of each image's own target class (N,)."""


def deletion_insertion(
    probability: Probability, seen: Tensor, saliency: Tensor, steps: int = STEPS
) -> tuple[Tensor, Tensor]:
    """Areas under the probability as the most salient pixels go first, and as they come first.

    A good map has a small area of deletion (its pixels were needed) and a large one of insertion (they are enough).

    Args:
        probability: of each image's target class.
        seen: images (N, 3, H, W) in [0, 1].
        saliency: (N, 1, h, w), stretched bilinearly; pixels of equal saliency take turns at random, with a fixed seed.
        steps: how many equal shares of the pixels go, or come, one after another.

    Returns:
        Deletion and insertion, (N,) each, by trapezoids.
    """
    rank = _rank(saliency, seen.shape[-2:])
    grey = seen.new_tensor(GREY)[:, None, None]
    blurred = _blur(seen)
    deletion, insertion = [], []
    for step in range(steps + 1):
        first = rank < step / steps
        deletion.append(probability(torch.where(first, grey, seen)))
        insertion.append(probability(torch.where(first, seen, blurred)))
    return _area(deletion), _area(insertion)


def _rank(saliency: Tensor, size: torch.Size) -> Tensor:
    """Place of each pixel (N, 1, H, W) among those of its image, from 0 for the most salient to below 1."""
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
