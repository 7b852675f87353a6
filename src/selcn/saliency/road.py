"""Faithfulness of a map by ROAD (remove and debias, Rong et al. 2022, arXiv:2202.00449): noisy linear imputation.

Pixels that are set to one colour leave their outline in the image, which tells the network what was removed. Imputed
pixels do not: each is the weighted mean of its eight neighbours, imputed ones among them, plus a little noise.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from selcn.saliency.perturbation import Probability, pixel_ranks

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of the pixels that are removed."""
NOISE = 0.01
"""Standard deviation of the noise of imputed pixels, whose colours are in [0, 1]."""
_TOLERANCE = 1e-5  # of a pixel from the mean of its neighbours; a grey level is 4e-3
_CACHED_PIXELS = 100_000  # that are solved for at once on a CPU
STEPS = 40
"""Of the solver at each size: at 224 x 224 its error is below the noise."""


def road(probability: Probability, seen: Tensor, saliency: Tensor, *, seed: int = 0) -> Tensor:
    """Half the difference of the class' probability with the least and with the most salient pixels removed.

    It is averaged over `SHARES` of removed pixels. A faithful map is above 0, pixels in random order give 0.

    Args:
        probability: from images (N, 3, H, W) to the probability of each image's target class (N,).
        seen: masked images (N, 3, H, W) in [0, 1], as the classifier takes them; a fourth channel is left as it is.
        saliency: (N, 1, h, w), resized bilinearly; ties are broken at random, with a fixed seed.
        seed: of the noise.

    Returns:
        (N,), from -0.5 to 0.5.
    """
    rank, colours, mask = pixel_ranks(saliency, seen.shape[-2:]), seen[:, :3], seen[:, 3:]
    generator = torch.Generator().manual_seed(seed)
    differences = []
    for share in SHARES:
        kept = []
        for missing in (rank >= 1 - share, rank < share):
            noise = NOISE * torch.randn(colours.shape, generator=generator).to(colours)
            imputed = impute_linearly(colours, missing) + noise * missing
            kept.append(probability(torch.cat([imputed, mask], dim=1)))
        differences.append((kept[0] - kept[1]) / 2)
    return torch.stack(differences).mean(0)


def impute_linearly(images: Tensor, missing: Tensor, steps: int = STEPS) -> Tensor:
    """Images whose missing pixels are the weighted means of their eight neighbours, all of them solved for at once.

    Direct neighbours weigh 1/6, diagonal ones 1/12; at the border there are fewer. The system is symmetric and positive
    definite. It is solved by conjugate gradients for all images and channels together, first on images of half the
    size, from whose solution the larger ones start (cascadic multigrid, Bornemann & Deuflhard 1996).

    Args:
        images: (N, C, H, W), float.
        missing: (N, 1, H, W), bool; not all of an image's pixels.
        steps: of conjugate gradients at each size, at most.
    """
    # A CPU solves few images at once, whose numbers stay in its cache, several times as fast.
    pixels = images.shape[2] * images.shape[3]
    block = max(1, _CACHED_PIXELS // pixels) if images.device.type == "cpu" else len(images)
    values, known = images * ~missing, (~missing).to(images)
    blocks = zip(torch.split(values, block), torch.split(known, block), strict=True)
    solved = [_impute(one, there, steps) for one, there in blocks]
    return torch.cat(solved)


def _impute(values: Tensor, known: Tensor, steps: int) -> Tensor:
    """The same of values (N, C, H, W), 0 where missing, of blocks of which a share ``known`` (N, 1, H, W) is known."""
    own, hole = values / known.clamp(min=torch.finfo(values.dtype).tiny), (known == 0).to(values)
    if max(values.shape[2:]) == 1 or not hole.any():
        return own
    smaller = _impute(F.avg_pool2d(values, 2, ceil_mode=True), F.avg_pool2d(known, 2, ceil_mode=True), steps)
    start = F.interpolate(smaller, size=values.shape[2:], mode="bilinear", align_corners=False)
    return _relax(own + hole * (start - own), hole, steps)


def _relax(found: Tensor, hole: Tensor, steps: int) -> Tensor:
    """Images closer to the solution, by conjugate gradients where ``hole`` is 1."""
    degree = _neighbours(torch.ones_like(hole[:1]))
    tiny = torch.finfo(found.dtype).tiny

    def lacking(pixels: Tensor) -> Tensor:
        """By how much missing pixels exceed the mean of their neighbours, times the sum of the weights."""
        return hole * (degree * pixels - _neighbours(pixels))

    residual = -lacking(found)
    direction, energy = residual, _dot(residual, residual)
    for _ in range(steps):
        if residual.abs().max() <= _TOLERANCE:
            break
        pushed = lacking(direction)
        length = energy / _dot(direction, pushed).clamp(min=tiny)
        found, residual = found.addcmul(length, direction), residual.addcmul(length, pushed, value=-1)
        before, energy = energy, _dot(residual, residual)
        direction = residual.addcmul(energy / before.clamp(min=tiny), direction)
    return found


def _neighbours(pixels: Tensor) -> Tensor:
    """Weighted sum of each pixel's neighbours: (1, 2, 1) along rows and columns is the paper's weights and a centre."""
    rows = 2 * pixels
    rows[..., 1:, :] += pixels[..., :-1, :]
    rows[..., :-1, :] += pixels[..., 1:, :]
    both = 2 * rows
    both[..., 1:] += rows[..., :-1]
    both[..., :-1] += rows[..., 1:]
    return (both - 4 * pixels) / 12


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """Of each channel (N, C, 1, 1)."""
    return (one * other).sum((2, 3), keepdim=True)
