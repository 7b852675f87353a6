"""Controls in place of saliency, to measure what the saliency itself contributes (after Adebayo et al. 2018)."""

import torch
from torch import Tensor

from selcn.labels import Control


def replace_saliency(saliency: Tensor, control: Control | None, generator: torch.Generator | None = None) -> Tensor:
    """Saliency or metadata, or the control that replaces it, of the same shape.

    Args:
        saliency: of a batch (N, 1, h, w), or metadata (N, any); returned unchanged where ``control`` is None.
        control: `zero` all zeros, `shuffled` that of another image of the batch (a batch of one keeps its own),
            `random` uniform noise in [0, 1).
        generator: of noise and permutation, on the CPU; None for the global one.
    """
    match control:
        case None:
            return saliency
        case Control.ZERO:
            return torch.zeros_like(saliency)
        case Control.SHUFFLED:
            order = torch.randperm(len(saliency), generator=generator).to(saliency.device)
            shuffled = torch.empty_like(saliency)
            shuffled[order] = saliency[order.roll(1)]  # one cycle through all images, so that none keeps its own
            return shuffled
        case Control.RANDOM:
            return torch.rand(saliency.shape, generator=generator).to(saliency)
