import math

import pytest
import torch
from torch import nn

from selcn.config import SegmentationSection
from selcn.training.optimisers import build_optimiser, build_schedule, rate


def test_rates_at_their_ends_and_in_between() -> None:
    assert [rate("constant", 0, 10)(step) for step in (0, 5, 10)] == [1, 1, 1]
    assert rate("poly", 0, 10)(5) == pytest.approx(0.5**0.9)
    assert rate("poly", 0, 10)(10) == 0
    assert rate("cosine", 0, 10)(5) == pytest.approx(0.5)
    assert rate("cosine", 0, 12)(4) == pytest.approx((1 + math.cos(math.pi / 3)) / 2)


def test_warm_up_rises_evenly_to_the_full_rate_and_the_schedule_begins_behind_it() -> None:
    factor = rate("cosine", 4, 12)
    assert [factor(step) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])
    assert factor(8) == pytest.approx(0.5)


def test_poly_equals_torchs_own() -> None:
    weights = nn.Linear(2, 2)
    one, other = (torch.optim.SGD(weights.parameters(), lr=0.1) for _ in range(2))
    own = build_schedule(one, SegmentationSection(schedule="poly"), 7)
    torchs = torch.optim.lr_scheduler.PolynomialLR(other, 7, power=0.9)
    for _ in range(7):
        one.step()
        other.step()
        own.step()
        torchs.step()
        assert own.get_last_lr()[0] == pytest.approx(torchs.get_last_lr()[0])


def test_adamw_decays_weights_but_neither_biases_nor_norms() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    decayed, spared = build_optimiser(network, SegmentationSection(optimiser="adamw", weight_decay=0.1)).param_groups
    assert [tuple(one.shape) for one in decayed["params"]] == [(3, 3)]
    assert len(spared["params"]) == 3
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0)
