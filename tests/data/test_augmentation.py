import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selcn.config import AugmentSection
from selcn.data.augmentation import Colour, Geometry

STILL = AugmentSection(rotation=0, zoom=0, shift=0, flip=False, colour=0)


def quarter_turn() -> Geometry:
    return Geometry(torch.tensor([[[0.0, -1.0], [1.0, 0.0]]]), torch.zeros(1, 2))


def test_ranges_of_nothing_change_nothing() -> None:
    images = torch.rand(3, 3, 9, 12)
    generator = torch.Generator().manual_seed(0)
    assert torch.allclose(Geometry.draw(3, STILL, generator).apply(images, 12 / 9), images, atol=1e-5)
    assert torch.allclose(Colour.draw(3, STILL, generator).apply(images), images, atol=1e-6)


def test_a_quarter_turn_of_a_square_is_that_of_torch() -> None:
    images = torch.rand(1, 3, 8, 8)
    assert torch.allclose(quarter_turn().apply(images, 1), torch.rot90(images, 1, (2, 3)), atol=1e-5)


def test_a_turned_circle_in_an_oblong_image_stays_a_circle() -> None:
    y, x = torch.meshgrid(torch.arange(60) - 29.5, torch.arange(80) - 39.5, indexing="ij")
    circle = ((x.hypot(y) < 20).float())[None, None]
    turned = quarter_turn().apply(circle, 80 / 60)
    assert (turned - circle).abs().mean() < 0.005


@settings(max_examples=25)
@given(st.integers(0, 999))
def test_image_and_coarse_map_move_together(seed: int) -> None:
    """A blob in the image and the same blob in its saliency map are found at the same place afterwards."""
    y, x = torch.meshgrid(torch.linspace(-0.975, 0.975, 40), torch.linspace(-0.98125, 0.98125, 48), indexing="ij")
    blob = torch.exp(-((x - 0.2) ** 2 + (y + 0.1) ** 2) / 0.05)[None, None]
    coarse = torch.nn.functional.avg_pool2d(blob, 4)
    geometry = Geometry.draw(1, AugmentSection(shift=0.1), torch.Generator().manual_seed(seed))
    fine = torch.nn.functional.avg_pool2d(geometry.apply(blob, 48 / 40), 4)
    assert (geometry.apply(coarse, 48 / 40) - fine).abs().mean() < 0.02


def test_drawn_geometry_keeps_to_its_ranges_and_mirrors_half_the_time() -> None:
    ranges = AugmentSection(rotation=30, zoom=0.2, shift=0.1)
    drawn = Geometry.draw(4000, ranges, torch.Generator().manual_seed(1))
    determinant = torch.linalg.det(drawn.matrix)
    zoom = determinant.abs().sqrt()
    assert 1 / 1.2 <= zoom.min() <= 0.85
    assert 1.17 <= zoom.max() <= 1.2 + 1e-6
    assert (determinant < 0).float().mean() == pytest.approx(0.5, abs=0.03)
    angle = torch.atan2(drawn.matrix[:, 0, 1], drawn.matrix[:, 1, 1]).abs().rad2deg()
    assert 29 < angle.max() <= 30 + 1e-4
    assert 0.19 < drawn.shift.abs().max() <= 0.2


def test_colour_follows_its_definition_in_a_hand_counted_case() -> None:
    colour = Colour(torch.tensor([[1.5, 1.0, 0.5]]), torch.tensor([0.5]), torch.tensor([2.0]))
    pixel = torch.tensor([0.4, 0.3, 0.2]).view(1, 3, 1, 1)
    # gains: .6 .3 .1, grey 1/3; saturation 2: .8667 .2667 -.1333, mean 1/3; contrast .5: .6 .3 .1
    assert torch.allclose(colour.apply(pixel).flatten(), torch.tensor([0.6, 0.3, 0.1]), atol=1e-6)


@given(st.floats(0, 0.9), st.integers(0, 99))
def test_colour_is_gain_then_saturation_then_contrast_each_about_its_own_grey(colour: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(3, 3, 2, 5, generator=generator)
    drawn = Colour.draw(3, AugmentSection(colour=colour), generator)
    for image, gain, contrast, saturation, changed in zip(
        images, drawn.gain, drawn.contrast, drawn.saturation, drawn.apply(images), strict=True
    ):
        gained = image * gain[:, None, None]
        grey = gained.mean(dim=0, keepdim=True)
        saturated = grey + (gained - grey) * saturation
        wanted = saturated.mean() + (saturated - saturated.mean()) * contrast
        torch.testing.assert_close(changed, wanted.clamp(0, 1), rtol=0, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):  # as in a training of 16 bits
        in_training = drawn.apply(images)
    torch.testing.assert_close(in_training, drawn.apply(images), rtol=0, atol=1e-6)


@given(st.floats(0, 0.9), st.integers(0, 99))
def test_colours_stay_in_range(colour: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, 4, 4, generator=generator)
    changed = Colour.draw(2, AugmentSection(colour=colour), generator).apply(images)
    assert 0 <= changed.min() <= changed.max() <= 1
    assert math.isfinite(changed.sum())
