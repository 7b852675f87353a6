"""An image and its flips: mirrored, flipped and both, by number; and batches of stored features of these views."""

import torch
from torch import Tensor

from selcn.data.datasets import Batch

FLIPS = ([3], [2], [2, 3])
"""Axes of (N, C, H, W) along which views 1 to 3 are flipped; view 0 is the image as it is."""
VIEWS = 1 + len(FLIPS)


def flipped(images: Tensor, count: int = VIEWS) -> list[Tensor]:
    """The first views of images (N, C, H, W).

    Args:
        images: (N, C, H, W), images, masks or maps.
        count: number of views, 1 to 4.
    """
    return [images, *(images.flip(axes) for axes in FLIPS)][:count]


def choose_views(batch: Batch, flip: bool, generator: torch.Generator, rank: int = 0, world: int = 1) -> Batch:
    """The batch with one view of each image's stored features, its saliency flipped alike.

    Views are sampled for the whole batch of ``world`` processes; this process has every ``world``-th image of it, from
    ``rank`` on. A copy of a balanced epoch is flipped once more by its number, copy 3 turned by half.

    Args:
        batch: with stored features (N, V, C, h, w) and saliency maps (N, 1, h, w).
        flip: whether views are sampled; else each is as it is.
        generator: on the CPU, in the same state in all processes.
        rank: of this process, from 0.
        world: number of processes.
    """
    count = len(batch.views)
    drawn = torch.randint(VIEWS if flip else 1, (count * world,), generator=generator)[rank::world]
    # The bits of a view's number are its two flips, so that flips after one another are an exclusive or.
    number = drawn ^ batch.copy.cpu() if batch.copy.numel() else drawn
    place = torch.arange(count)
    return batch._replace(
        image=batch.views[place, number.to(batch.views.device)],
        saliency=tuple(torch.stack(flipped(one))[number, place] for one in batch.saliency),
    )
