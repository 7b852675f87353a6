"""Infidelity and sensitivity of maps (Yeh et al. 2019, On the (in)fidelity and sensitivity of explanations)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from selcn.saliency.perturbation import GREY, Probability

SQUARES = 32
"""Squares that are removed one after another."""
SIDES = (1 / 8, 1 / 2)
"""Shortest and longest side of a square, as a share of the image's shorter side."""
RADIUS, NOISES = 0.02, 8
"""Largest change of a colour in [0, 1] by noise, and how many noisy images are explained."""


def sample_squares(size: tuple[int, int], count: int = SQUARES, *, seed: int = 0) -> Tensor:
    """Squares of random side and place, each wholly inside the image (S, 1, H, W), 1 inside, else 0.

    Args:
        size: height and width H, W, in pixels.
        count: number of squares S.
        seed: of side and place.
    """
    generator, shorter = torch.Generator().manual_seed(seed), min(size)
    shares = SIDES[0] + (SIDES[1] - SIDES[0]) * torch.rand(count, generator=generator)
    sides = (shares * shorter).round().clamp(min=1)
    inside = []
    for length in size:
        first = (torch.rand(count, generator=generator) * (length - sides + 1)).floor()
        place = torch.arange(length) - first[:, None]
        inside.append((place >= 0) & (place < sides[:, None]))
    return (inside[0][:, None, :, None] & inside[1][:, None, None, :]).float()


def probability_drops(probability: Probability, seen: Tensor, squares: Tensor) -> Tensor:
    """By how much the class' probability falls as each square of the image turns grey (N, S).

    Args:
        probability: from images (N, 3, H, W) to the probability of each image's target class (N,).
        seen: masked images (N, 3, H, W) in [0, 1], as the classifier takes them; a fourth channel is left as it is.
        squares: (S, 1, H, W), see `sample_squares`.
    """
    colours, mask, grey = seen[:, :3], seen[:, 3:], seen.new_tensor(GREY)[:, None, None]
    whole = probability(seen)
    drops = [
        whole - probability(torch.cat([torch.where(square > 0, grey, colours), mask], dim=1))
        for square in squares.to(seen)
    ]
    return torch.stack(drops, dim=1)


def infidelity(saliency: Tensor, squares: Tensor, drops: Tensor) -> Tensor:
    """Mean squared difference of the saliency in a square and the fall of the probability without that square (N,).

    Since maps have no unit, each is scaled by the factor that makes the difference least, as in the paper, but by none
    below 0: a map has no sign. Since falls differ between images and networks, the mean is divided by that of a map of
    zeros, the mean squared fall.

    Args:
        saliency: (N, 1, h, w), not negative, resized bilinearly.
        squares: (S, 1, H, W), see `sample_squares`.
        drops: (N, S), see `probability_drops`.

    Returns:
        From 0, where the map predicts every fall, to 1, where it predicts none; NaN for a flat map, and where the
        probability does not change or is not defined.
    """
    maps = F.interpolate(saliency, size=squares.shape[-2:], mode="bilinear", align_corners=False)
    told = maps.flatten(1) @ squares.to(maps).flatten(1).T
    power = told.square().sum(1)
    factor = ((told * drops).sum(1) / power).clamp(min=0)  # 0 / 0 of a flat map is NaN
    missed = (factor[:, None] * told - drops).square().sum(1) / drops.square().sum(1)
    return torch.where(is_flat(saliency), torch.nan, missed)


def max_sensitivity(
    explain: Callable[[Tensor], Tensor], images: Tensor, saliency: Tensor, *, count: int = NOISES, seed: int = 0
) -> Tensor:
    """Largest change of the map under noise that the eye hardly sees, over the length of the map (N,).

    Args:
        explain: from images (N, 3, H, W) to maps (N, 1, h, w) of the same classes.
        images: (N, 3, H, W) in [0, 1].
        saliency: their maps (N, 1, h, w).
        count: number of noisy images that are tried, each colour changed by up to `RADIUS`.
        seed: of the noise.

    Returns:
        From 0; NaN for a flat map.
    """
    generator, found = torch.Generator().manual_seed(seed), torch.zeros_like(saliency[:, 0, 0, 0])
    for _ in range(count):
        noise = (2 * torch.rand(images.shape, generator=generator) - 1).to(images) * RADIUS
        change = (explain((images + noise).clamp(0, 1)) - saliency).square().sum((1, 2, 3)).sqrt()
        found = torch.maximum(found, change / saliency.square().sum((1, 2, 3)).sqrt())
    return torch.where(is_flat(saliency), torch.nan, found)


def is_flat(saliency: Tensor) -> Tensor:
    """Which maps have one value everywhere, bool (N,): these explain nothing, and no score of them is defined.

    Args:
        saliency: (N, 1, h, w).
    """
    return saliency.amax((1, 2, 3)) == saliency.amin((1, 2, 3))
