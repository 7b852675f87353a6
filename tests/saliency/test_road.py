"""ROAD against the paper's own imputation, which the package grad-cam ships, and against values counted by hand."""

import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer, neighbors_weights
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import spsolve
from torch import Tensor

from selcn.saliency.perturbation import pixel_ranks
from selcn.saliency.road import NOISE, SHARES, impute_linearly, road


def test_imputation_equals_the_direct_solution_of_the_package() -> None:
    torch.manual_seed(0)
    images = torch.rand(3, 3, 30, 41)
    missing = torch.rand(3, 1, 30, 41) < 0.4
    missing[1, 0, 3:, 5:] = True  # a hole as wide as the image
    missing[2, 0] = torch.arange(41) % 2 == 1
    found, quick = impute_linearly(images, missing, steps=300), impute_linearly(images, missing)
    assert (quick - found).square().mean().sqrt() < NOISE / 2
    for image, hole, ours in zip(images, missing, found, strict=True):
        known = (~hole[0]).numpy().astype(float)
        system, right = NoisyLinearImputer.setup_sparse_system(known, image.numpy(), neighbors_weights)
        theirs = spsolve(csc_matrix(system), right).T
        np.testing.assert_allclose(ours[:, hole[0]].numpy(), theirs, atol=2e-3)
    assert torch.equal(found[~missing.expand_as(images)], images[~missing.expand_as(images)])


def test_a_row_of_missing_pixels_is_counted_by_hand() -> None:
    # Between rows of 0 and of 1, by symmetry, the missing row is the mean of both, whatever the weights are.
    image = torch.zeros(1, 1, 3, 5)
    image[..., 2, :] = 1
    missing = torch.zeros(1, 1, 3, 5, dtype=torch.bool)
    missing[..., 1, :] = True
    assert impute_linearly(image, missing)[0, 0, 1].tolist() == pytest.approx([0.5] * 5, abs=1e-4)


def test_road_is_half_the_mean_difference_of_both_orders() -> None:
    # White left half, black right half; the probability is the red of the left half. The map marks the left half. At
    # 10 and 30 % removed from the left, it is imputed from white; from half on nothing white is left.
    image = torch.zeros(1, 3, 16, 16)
    image[..., :8] = 1
    left = torch.zeros(1, 1, 16, 16)
    left[..., :8] = 1

    def probability(seen: Tensor) -> Tensor:
        return seen[:, 0, :, :8].mean((1, 2))

    value = road(probability, image, left).item()
    assert value > road(probability, image, 1 - left).item() + 0.2
    # Least salient first leaves the left half white up to half of the pixels; most salient first leaves black there.
    expected = []
    for share in SHARES:
        removed = [probability(impute_linearly(image, _removed(left, share, most)[None])) for most in (False, True)]
        expected.append((removed[0] - removed[1]).item() / 2)
    assert value == pytest.approx(np.mean(expected), abs=3 * NOISE / 8)
    assert expected[2] == pytest.approx(0.5, abs=0.01)


def _removed(left: Tensor, share: float, most: bool) -> Tensor:
    """Pixels that are removed of the halves, in the seeded random order within each half."""
    rank = pixel_ranks(left, left.shape[-2:])[0]
    return rank < share if most else rank >= 1 - share


def test_a_flat_map_gives_about_nothing() -> None:
    image = torch.rand(4, 3, 24, 24)
    value = road(lambda seen: seen[:, 0, :, :12].mean((1, 2)), image, torch.zeros(4, 1, 24, 24))
    assert value.abs().max() < 0.05
