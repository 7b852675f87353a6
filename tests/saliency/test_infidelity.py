"""Infidelity and sensitivity counted by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from selcn.saliency.infidelity import (
    NOISES,
    RADIUS,
    SIDES,
    infidelity,
    max_sensitivity,
    probability_drops,
    sample_squares,
)
from selcn.saliency.perturbation import GREY


def test_infidelity_counted_by_hand() -> None:
    # Two squares of one pixel each; the first image's map tells 1 and 3, and removal costs 2 and 4.
    # The best factor is (1 * 2 + 3 * 4) / (1 + 9) = 1.4: errors 0.6 and -0.2, mean square 0.2 of 10.
    squares = torch.zeros(2, 1, 1, 2)
    squares[0, ..., 0] = squares[1, ..., 1] = 1
    maps = torch.tensor([[1.0, 3.0], [1.0, 3.0], [2.0, 4.0], [0.0, 0.0]])[:, None, None]
    drops = torch.tensor([[2.0, 4.0], [-2.0, -4.0], [0.2, 0.4], [1.0, 1.0]])
    found = infidelity(maps, squares, drops)
    assert found[0].item() == pytest.approx(0.2 / 10)
    assert found[1].item() == pytest.approx(1)  # a map has no negative factor
    assert found[2].item() == pytest.approx(0, abs=1e-12)
    assert found[3].isnan()  # a flat map
    assert infidelity(maps, squares, torch.zeros(4, 2)).isnan().all()


def test_drops_are_of_grey_squares_and_leave_the_mask() -> None:
    seen = torch.ones(1, 4, 8, 8)
    square = torch.zeros(1, 1, 8, 8)
    square[..., :2, :4] = 1

    def probability(images: Tensor) -> Tensor:
        assert (images[:, 3] == 1).all()
        return images[:, 0].mean((1, 2))

    drop = probability_drops(probability, seen, square)
    assert drop.tolist() == [[pytest.approx(8 / 64 * (1 - GREY[0]))]]


@settings(max_examples=20)
@given(st.integers(8, 60), st.integers(8, 60), st.integers(0, 1000))
def test_squares_are_squares_inside_the_image(height: int, width: int, seed: int) -> None:
    squares = sample_squares((height, width), 5, seed=seed)[:, 0]
    rows, columns = squares.amax(2).sum(1), squares.amax(1).sum(1)
    assert torch.equal(rows, columns)
    assert torch.equal(squares.sum((1, 2)), rows * columns)
    assert (rows / min(height, width) >= SIDES[0] - 0.5 / min(height, width)).all()
    assert (rows / min(height, width) <= SIDES[1] + 0.5 / min(height, width)).all()


def test_sensitivity_is_the_largest_relative_change() -> None:
    # The map is the red of two pixels; noise changes each by at most the radius, and the length of (0.6, 0.8) is 1.
    images = torch.tensor([[0.6, 0.8], [0.5, 0.5]])[:, None, None].expand(2, 3, 1, 2)
    seen: list[Tensor] = []

    def explain(noisy: Tensor) -> Tensor:
        seen.append(noisy[:, :1])
        return noisy[:, :1]

    found = max_sensitivity(explain, images, images[:, :1])
    changes = torch.stack([(one - images[:, :1]).flatten(1).norm(dim=1) for one in seen])
    assert len(seen) == NOISES
    assert changes.max() <= RADIUS * 2**0.5
    assert found[0].item() == pytest.approx(changes[:, 0].max().item())
    assert found[1].isnan()  # a flat map
