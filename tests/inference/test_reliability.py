"""When an answer is not to be trusted."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from selcn.evaluation.recalibration import rescale
from selcn.inference.reliability import (
    BLURRED,
    EXPOSURE,
    NO_LESION,
    OUT_OF_DISTRIBUTION,
    ImageReliability,
    NetworkReliability,
    Reliability,
    brightness,
    sharpness,
)
from selcn.models.features import FeatureDistance

MEASURED = NetworkReliability(temperature=1, abstain_below=0.5, coverage=0.8, distance=3, components=(2,))
GUARDS = Reliability(image=ImageReliability(sharpness=2, brightness=(0.2, 0.8)), networks={"diagnosis": MEASURED})


def noise(seed: int = 0) -> np.ndarray:
    """A sharp picture of middling brightness."""
    return np.random.default_rng(seed).integers(60, 200, (48, 64, 3), dtype=np.uint8)


def test_each_warning_has_its_cause() -> None:
    assert GUARDS.warnings(noise(), "diagnosis", 1.0, lesion=True) == ()
    assert GUARDS.warnings(noise(), "diagnosis", 1.0, lesion=False) == (NO_LESION,)
    assert GUARDS.warnings(noise(), "diagnosis", 1.0, lesion=None) == ()
    assert GUARDS.warnings(noise(), "symmetry", 9.0, lesion=True) == (), "of that network nothing was measured"
    assert GUARDS.warnings(noise(), "diagnosis", 3.5, lesion=True) == (OUT_OF_DISTRIBUTION,)
    assert GUARDS.warnings(noise() // 8, "diagnosis", 1.0, lesion=True) == (EXPOSURE,)
    assert GUARDS.warnings(np.full((48, 64, 3), 128, np.uint8), "diagnosis", 1.0, lesion=True) == (BLURRED,)


def test_blur_lowers_sharpness_step_by_step() -> None:
    values = [sharpness(cv2.GaussianBlur(noise(), (0, 0), sigma)) for sigma in (0.5, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert brightness(np.full((4, 4, 3), 51, np.uint8)) == pytest.approx(0.2)


@given(st.floats(0.1, 10), st.integers(0, 1000))
def test_rescaling_keeps_the_order(temperature: float, seed: int) -> None:
    said = np.random.default_rng(seed).dirichlet(np.ones(5), 3)
    scaled = rescale(said, temperature)
    assert scaled.sum(1) == pytest.approx(1)
    assert (scaled.argsort(1) == said.argsort(1)).all()


def test_distance_is_that_of_whitened_principal_components() -> None:
    generator = torch.Generator().manual_seed(0)
    known = torch.randn(500, 3, generator=generator) * torch.tensor([3.0, 1.0, 0.5]) + torch.tensor([5.0, 0.0, -1.0])
    distance = FeatureDistance.fit(known, components=3)
    # Along all directions it is Mahalanobis' distance over the square root of their number.
    inverse = torch.linalg.inv(torch.cov(known.T))
    strange = torch.tensor([[20.0, 3.0, 0.0], [5.0, 0.0, -1.0]])
    centred = strange - known.mean(0)
    mahalanobis = torch.einsum("ni,ij,nj->n", centred, inverse, centred).sqrt()
    torch.testing.assert_close(distance(strange), mahalanobis / 3**0.5, rtol=1e-4, atol=1e-4)
    assert distance(known).square().mean() == pytest.approx(1, abs=0.02)


def test_few_or_equal_images_still_give_a_distance() -> None:
    assert FeatureDistance.fit(torch.randn(12, 40)).whitening.shape[1] == 2
    flat = FeatureDistance.fit(torch.ones(30, 4))
    assert torch.isfinite(flat.whitening).all()
