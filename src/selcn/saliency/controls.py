"""What stands in place of saliency, to see what saliency itself is worth (after Adebayo et al. 2018)."""

import torch
from torch import Tensor

from selcn.labels import Control


def replace_saliency(saliency: Tensor, control: Control | None, generator: torch.Generator | None = None) -> Tensor:
    """Saliency (N, 1, h, w) as a control gives it.

    Args:
        saliency: of a batch; returned as it is where there is no control.
        control: `zero` a map without any, `shuffled` the map of another image of the batch, `random` noise in [0, 1].
        generator: on the CPU, of the noise and of the order; the global one where None.
    """
    match control:
        case None:
            return saliency
        case Control.ZERO:
            return torch.zeros_like(saliency)
        case Control.SHUFFLED:
            order = torch.randperm(len(saliency), generator=generator).to(saliency.device)
            shuffled = torch.empty_like(saliency)
            shuffled[order] = saliency[order.roll(1)]  # a ring through all images, so that none keeps its own
            return shuffled
        case Control.RANDOM:
            return torch.rand(saliency.shape, generator=generator).to(saliency)
