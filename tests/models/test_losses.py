"""Losses against hand counts and a naive double loop."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from selcn.models.losses import cross_entropy_loss, mask_loss, rank_loss, soft_dice_loss

SHAPE = st.tuples(st.integers(1, 3), st.just(1), st.integers(1, 6), st.integers(1, 6))


def logits_of(*rows: list[float]) -> Tensor:
    """Logits (N, 1, 1, W) whose sigmoids are the probabilities in ``rows``, one row a sample."""
    return torch.tensor(rows, dtype=torch.float64).logit()[:, None, None]


def masks_of(*rows: list[int]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)[:, None, None]


def naive_rank_loss(logits: np.ndarray, mask: np.ndarray, k: int, margin: float) -> float:
    losses = []
    for sample, truth in zip(logits[:, 0], mask[:, 0], strict=True):
        probability = 1 / (1 + np.exp(-sample))
        background = sorted(probability[truth == 0], reverse=True)[:k]
        lesion = sorted(probability[truth == 1])[:k]
        hinges = [max(0.0, b - f + margin) for b in background for f in lesion]
        losses.append(math.fsum(hinges) / len(hinges) if hinges else 0.0)
    return sum(losses) / len(losses)


def test_soft_dice_of_two_samples_by_hand() -> None:
    """First: overlaps 0.9 + 0.6 and 0.8 + 0.7; sums 1.5 + 0.5 + 2 and 2.0 + 2. Second: all wrong."""
    logits = logits_of([0.9, 0.6, 0.2, 0.3], [1e-12, 1e-12, 1 - 1e-12, 1 - 1e-12])
    mask = masks_of([1, 1, 0, 0], [1, 1, 0, 0])
    first = ((1 - 2 * 1.5 / (4 + 1e-5)) + (1 - 2 * 1.5 / (4 + 1e-5))) / 2
    assert float(soft_dice_loss(logits, mask)) == pytest.approx((first + 1) / 2, abs=1e-9)


def test_soft_dice_counts_lesion_and_background_alike() -> None:
    """Lesion: 2*0.5 / (1.25 + 1); background: 2*2.25 / (2.75 + 3)."""
    loss = soft_dice_loss(logits_of([0.5, 0.25, 0.25, 0.25]), masks_of([1, 0, 0, 0]))
    assert float(loss) == pytest.approx(1 - (1 / 2.25001 + 4.5 / 5.75001) / 2, abs=1e-12)


def test_soft_dice_survives_half_precision() -> None:
    logits, mask = torch.full((1, 1, 300, 300), 9.0).half(), torch.ones(1, 1, 300, 300, dtype=torch.uint8)
    assert float(soft_dice_loss(logits, mask)) == pytest.approx(0.5, abs=1e-3)


def test_rank_loss_by_hand() -> None:
    """The hardest two background pixels (0.7, 0.5) against the hardest two lesion pixels (0.4, 0.6), margin 0.3."""
    logits = logits_of([0.7, 0.5, 0.1, 0.4, 0.6, 0.95])
    loss = rank_loss(logits, masks_of([0, 0, 0, 1, 1, 1]), k=2)
    assert float(loss) == pytest.approx((0.6 + 0.4 + 0.4 + 0.2) / 4)


def test_rank_loss_uses_the_pixels_there_are_and_counts_one_kind_as_nothing() -> None:
    """One lesion pixel at 0.5 against 0.6 and 0.3; then a sample without lesion and one without background."""
    logits = logits_of([0.6, 0.3, 0.5], [0.9, 0.9, 0.9], [0.1, 0.1, 0.1])
    mask = masks_of([0, 0, 1], [0, 0, 0], [1, 1, 1])
    assert float(rank_loss(logits, mask)) == pytest.approx((0.4 + 0.1) / 2 / 3)


def test_rank_loss_pushes_the_hardest_pixels_apart() -> None:
    logits = logits_of([0.7, 0.1, 0.4, 0.9], [0.5, 0.5, 0.5, 0.5]).requires_grad_()
    rank_loss(logits, masks_of([0, 0, 1, 1], [0, 0, 0, 0]), k=1).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    signs = logits.grad.sign().flatten(1).tolist()
    assert signs == [[1, 0, -1, 0], [0, 0, 0, 0]]


@given(data=st.data(), k=st.integers(1, 40), margin=st.floats(0, 1))
@settings(max_examples=150)
def test_rank_loss_is_its_definition(data: st.DataObject, k: int, margin: float) -> None:
    shape = data.draw(SHAPE)
    logits = data.draw(arrays.arrays(np.float64, shape, elements=st.floats(-20, 20)))
    mask = data.draw(arrays.arrays(np.int64, shape, elements=st.integers(0, 1)))
    loss = float(rank_loss(torch.from_numpy(logits), torch.from_numpy(mask), k, margin))
    assert loss == pytest.approx(naive_rank_loss(logits, mask, k, margin), abs=1e-12)


def test_cross_entropy_is_the_mean_of_minus_the_logarithm_of_the_probability_of_the_truth() -> None:
    logits, mask = logits_of([0.7, 0.2, 0.4, 0.8]), masks_of([0, 0, 1, 1])
    expected = -np.mean(np.log([1 - 0.7, 1 - 0.2, 0.4, 0.8]))
    assert float(cross_entropy_loss(logits, mask)) == pytest.approx(expected, rel=1e-6)
    assert float(cross_entropy_loss(logits.half(), mask)) == pytest.approx(expected, rel=1e-3)
    assert float(mask_loss(logits, mask, 0.0, "cross-entropy")) == float(cross_entropy_loss(logits, mask))


def test_rank_weight_weighs_the_rank_loss() -> None:
    logits, mask = logits_of([0.7, 0.2, 0.4, 0.8]), masks_of([0, 0, 1, 1])
    expected = soft_dice_loss(logits, mask) + 0.05 * rank_loss(logits, mask)
    assert float(mask_loss(logits, mask, 0.05)) == float(expected)
    assert float(mask_loss(logits, mask, 0.0)) == float(soft_dice_loss(logits, mask))
