"""Scores of maps against SciPy, scikit-learn and values counted by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from selcn.saliency.comparing import (
    SIDE,
    at_side,
    complexity,
    mean_rank_correlation,
    place_auc,
    rank_correlation,
)


def test_complexity_is_the_entropy_of_shares() -> None:
    maps = torch.zeros(4, 1, SIDE, SIDE)
    maps[0, 0, 3, 3] = 1
    maps[1, 0, 0, :4] = 0.7  # four cells alike: ln 4
    maps[2, 0, 0, :2] = torch.tensor([0.25, 0.75])
    maps[2] *= 0.5
    found = complexity(maps)
    two = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert found[:3].tolist() == pytest.approx([0, math.log(4) / math.log(SIDE**2), two / math.log(SIDE**2)], abs=1e-5)
    assert found[3].isnan()


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_rank_correlations_are_scipy_s_with_ties_and_in_a_region(seed: int, levels: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    one, other = (torch.randint(levels, (3, 1, 5, 6), generator=generator).float() for _ in range(2))
    region = torch.rand(3, 1, 5, 6, generator=generator) < 0.6
    region[:, :, 0, 0] = region[:, :, 4, 5] = True
    for chosen in (None, region):
        for number, found in enumerate(rank_correlation(one, other, chosen)):
            where = torch.ones_like(region[number]) if chosen is None else region[number]
            pair = one[number][where].numpy(), other[number][where].numpy()
            flat = any(np.ptp(values) == 0 for values in pair)
            expected = np.nan if flat else spearmanr(*pair).statistic
            assert found.item() == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_agreement_averages_the_pairs_that_are_defined() -> None:
    rising = torch.arange(4.0).view(1, 1, 2, 2)
    maps = [rising, rising.flip(3), torch.zeros_like(rising), rising]
    # Ranks 1 0 3 2 against 0 1 2 3: 1 - 6 * 4 / (4 * 15) = 0.6, twice, and 1 of the equal pair.
    assert mean_rank_correlation(maps).tolist() == [pytest.approx((0.6 + 0.6 + 1) / 3)]
    assert mean_rank_correlation([maps[2], rising]).isnan().all()


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_at_the_finest_grid_it_is_the_auc_of_pixels_inside_the_lesion(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randint(5, (2, 1, 8, 8), generator=generator) / 4
    lesion, place = (torch.rand(2, 1, 8, 8, generator=generator) < share for share in (0.7, 0.4))
    place &= lesion
    for number, found in enumerate(place_auc(maps, place, lesion, 8)):
        inside = lesion[number]
        truth = place[number][inside].numpy()
        if 0 < truth.sum() < len(truth):
            assert found.item() == pytest.approx(roc_auc_score(truth, maps[number][inside].numpy()))
        else:
            assert found.isnan()


def test_place_counted_by_hand_at_a_coarse_grid() -> None:
    # Two columns of cells. The lesion is everywhere, the place 3/4 of the right column's upper cell. The map is 1
    # there, else 0: of the place all lies at 1; of the rest (3.25 cells) 0.25 ties, and 3 are below.
    maps, place = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 4, 4)
    maps[0, 0, 0, 1] = 1
    place[0, 0, :2, 2:] = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    found = place_auc(maps, place, torch.ones(1, 1, 4, 4), 2)
    assert found.item() == pytest.approx((3 + 0.25 / 2) / 3.25)
    assert place_auc(maps, torch.zeros_like(place), torch.ones(1, 1, 4, 4), 2).isnan()
    assert place_auc(torch.zeros(1, 1, 2, 2), place, torch.ones(1, 1, 4, 4), 2).isnan()


def test_cells_of_a_coarser_grid_are_means() -> None:
    maps = torch.arange(16.0).view(1, 1, 4, 4) / 16
    assert at_side(maps, 2).flatten().tolist() == pytest.approx([2.5 / 16, 4.5 / 16, 10.5 / 16, 12.5 / 16], abs=1e-6)
