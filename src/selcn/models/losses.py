"""Losses of a mask: soft Dice or cross-entropy, and the rank loss of MB-DCNN (Xie et al. 2020, arXiv:1903.03313)."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_dice_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """One minus soft Dice, averaged over samples and over the two classes lesion and background.

    Args:
        logits: (N, 1, H, W) of the lesion.
        mask: (N, 1, H, W), 0 or 1.
    """
    lesion = _probability(logits)
    truth = mask.to(lesion)
    probabilities = torch.cat([lesion, 1 - lesion], dim=1).flatten(2)
    truths = torch.cat([truth, 1 - truth], dim=1).flatten(2)
    overlap = (probabilities * truths).sum(2)
    return (1 - 2 * overlap / (probabilities.sum(2) + truths.sum(2) + 1e-5)).mean()


def rank_loss(logits: Tensor, mask: Tensor, k: int = 30, margin: float = 0.3) -> Tensor:
    """Hinge on the hardest pixels: lesion pixels should score ``margin`` above background pixels.

    Of each sample the ``k`` background pixels of highest and the ``k`` lesion pixels of lowest lesion probability are
    taken, or as many as there are; the mean of max(0, p_background - p_lesion + margin) over all their pairs is
    averaged over samples. A sample that lacks either kind contributes 0.

    Args:
        logits: (N, 1, H, W) of the lesion.
        mask: (N, 1, H, W), 0 or 1.
        k: number of hard pixels of each kind.
        margin: required difference of probabilities.
    """
    lesion, truth = _probability(logits).flatten(1), mask.flatten(1) > 0.5
    k = min(k, lesion.shape[1])
    # Pixels of the other kind, and the padding of a sample with too few, are infinite, where the hinge is 0.
    background_scores = lesion.masked_fill(truth, -torch.inf).topk(k, dim=1).values
    lesion_scores = lesion.masked_fill(~truth, torch.inf).topk(k, dim=1, largest=False).values
    hinges = F.relu(background_scores[:, :, None] - lesion_scores[:, None, :] + margin).sum((1, 2))
    pairs = (~truth).sum(1).clamp(max=k) * truth.sum(1).clamp(max=k)
    return (hinges / pairs.clamp(min=1)).mean()


def cross_entropy_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of lesion against background, averaged over pixels and samples.

    Args:
        logits: (N, 1, H, W) of the lesion.
        mask: (N, 1, H, W), 0 or 1.
    """
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.binary_cross_entropy_with_logits(precise, mask.to(precise))


MASK_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "dice": soft_dice_loss,
    "cross-entropy": cross_entropy_loss,
}
"""Losses of a mask by their name in a configuration."""


def mask_loss(logits: Tensor, mask: Tensor, rank_weight: float, loss: str = "dice") -> Tensor:
    """A loss of all pixels plus the weighted rank loss.

    Args:
        logits: (N, 1, H, W) of the lesion.
        mask: (N, 1, H, W), 0 or 1.
        rank_weight: weight of the rank loss, at least 0; 0 leaves it out.
        loss: a name of `MASK_LOSSES`.
    """
    whole = MASK_LOSSES[loss](logits, mask)
    return whole + rank_weight * rank_loss(logits, mask) if rank_weight else whole


def _probability(logits: Tensor) -> Tensor:
    # In float16 the sum over a 256x256 mask overflows.
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).sigmoid()
