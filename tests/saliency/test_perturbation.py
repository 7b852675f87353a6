"""Deletion and insertion against curves counted by hand."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from selcn.saliency.perturbation import GREY, deletion_insertion


def half(seen: Tensor) -> Tensor:
    """A "probability" that is the red of the left half, averaged."""
    return seen[:, 0, :, : seen.shape[3] // 2].mean((1, 2))


def test_areas_counted_by_hand() -> None:
    # White: every deleted pixel turns grey. The map marks the left half, on which all depends: of four steps the first
    # two delete it. Blur leaves white as it is, so insertion stays at 1.
    white, left = torch.ones(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    left[..., :4] = 1
    deletion, insertion = deletion_insertion(half, white, left, steps=4)
    grey = GREY[0]
    curve = [1, (1 + grey) / 2, grey, grey, grey]
    assert deletion.item() == pytest.approx(sum((a + b) / 2 for a, b in pairwise(curve)) / 4)
    assert insertion.item() == pytest.approx(1)


def test_a_good_map_deletes_sooner_and_inserts_sooner_than_its_opposite() -> None:
    images = torch.rand(2, 3, 16, 16).round()
    left = torch.zeros(2, 1, 16, 16)
    left[..., :8] = 1
    images[..., 4:12, 2:6] = 1

    def contrast(seen: Tensor) -> Tensor:
        return (seen[..., :8] - seen[..., :8].mean((2, 3), keepdim=True)).abs().mean((1, 2, 3))

    good, bad = deletion_insertion(contrast, images, left), deletion_insertion(contrast, images, 1 - left)
    assert (good[0] < bad[0]).all()
    assert (good[1] > bad[1]).all()


def test_every_image_has_its_own_map() -> None:
    images = torch.ones(2, 3, 8, 8)
    left = torch.zeros(2, 1, 8, 8)
    left[0, ..., :4] = 1
    left[1, ..., 4:] = 1
    both, _ = deletion_insertion(half, images, left, steps=4)
    alone = torch.cat([deletion_insertion(half, images[i : i + 1], left[i : i + 1], steps=4)[0] for i in (0, 1)])
    assert both.tolist() == pytest.approx(alone.tolist())
    assert both[0] < both[1]


def test_equal_pixels_go_in_an_order_without_pattern() -> None:
    # A flat map deletes evenly: the left half loses as much as the right one at every step.
    white, flat = torch.ones(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
    deletion, _ = deletion_insertion(half, white, flat, steps=10)
    assert deletion.item() == pytest.approx((1 + GREY[0]) / 2, abs=0.02)
