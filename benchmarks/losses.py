"""Milliseconds of Dice and rank loss, forward and backward, of 8 masks of 256x256: selcn, and its definition as loops.

The definition goes over samples and over every pair of a hard lesion and a hard background pixel.
"""

import torch
from torch import Tensor

from selcn.models.losses import mask_loss, soft_dice_loss
from timing import medians

SHAPE, HARDEST, MARGIN, WEIGHT, REPEATS = (8, 1, 256, 256), 30, 0.3, 0.05, 5


def as_defined(logits: Tensor, mask: Tensor) -> Tensor:
    """Soft Dice plus rank loss, a pair of pixels at a time."""
    total = torch.zeros(())
    for lesion, truth in zip(logits.sigmoid().flatten(1), mask.flatten(1) > 0.5, strict=True):
        background, inside = lesion[~truth].topk(HARDEST).values, lesion[truth].topk(HARDEST, largest=False).values
        sample = torch.zeros(())
        for one in background:
            for other in inside:
                sample = sample + torch.clamp(one - other + MARGIN, min=0)
        total = total + sample / (len(background) * len(inside))
    return soft_dice_loss(logits, mask) + WEIGHT * total / len(logits)


def measure() -> dict[str, float]:
    """Milliseconds of each, their ratio, and how far their values lie apart."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(SHAPE, generator=generator, requires_grad=True)
    rows, columns = torch.meshgrid(torch.arange(SHAPE[2]), torch.arange(SHAPE[3]), indexing="ij")
    mask = (((rows - 128) ** 2 + (columns - 128) ** 2) < 70**2).float().expand(SHAPE).contiguous()

    def ours() -> Tensor:
        loss = mask_loss(logits, mask, WEIGHT)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def theirs() -> Tensor:
        loss = as_defined(logits, mask)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def dice() -> Tensor:
        loss = soft_dice_loss(logits, mask)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    times = medians({"ours": ours, "dice": dice, "theirs": theirs}, REPEATS)
    return {
        "selcn, ms": 1000 * times["ours"],
        "soft Dice alone, ms": 1000 * times["dice"],
        "loops, ms": 1000 * times["theirs"],
        "both losses to soft Dice alone": times["ours"] / times["dice"],
        "ratio": times["theirs"] / times["ours"],
        "values apart": float((ours() - theirs()).abs()),
    }


if __name__ == "__main__":
    print(measure())
