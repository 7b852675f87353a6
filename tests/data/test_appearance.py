"""Artefacts are found where the phantom's brushes drew them, and the typology angle is that of its equation."""

import numpy as np
import pytest

from selcn.data.appearance import ABSENT, ARTEFACTS, PRESENT, measure_appearance, typology_angle
from selcn.data.corruptions import corrupt, generator_of

IMAGES = 6


def skin(number: int) -> tuple[np.ndarray, np.ndarray]:
    """An image of a soft lesion on skin with some texture, and its mask."""
    rows, columns = np.mgrid[:180, :240]
    inside = np.clip((48 - np.hypot(rows - 90, columns - 120)) / 6, 0, 1)[..., None]
    base = np.array([214, 170, 148]) - 12 * (number % 3)
    texture = np.random.default_rng(number).normal(0, 3, (180, 240, 3))
    image = base * (1 - inside) + np.array([120, 80, 62]) * inside + texture
    return np.clip(image, 0, 255).astype(np.uint8), inside[..., 0] > 0.5


@pytest.mark.parametrize("drawn", [None, *ARTEFACTS])
def test_what_was_drawn_is_found_and_nothing_else_is(drawn: str | None) -> None:
    found = []
    for number in range(IMAGES):
        image, mask = skin(number)
        if drawn:
            image = corrupt(image, drawn, 3, generator_of(0, str(number), drawn))
        found.append(measure_appearance(image, mask))
    shares = {name: np.mean([one[name] == PRESENT for one in found]) for name in ARTEFACTS}
    assert set(found[0]) == {"ita", *ARTEFACTS}
    if drawn:
        assert shares.pop(drawn) >= 5 / 6
    shares.pop("bubbles" if drawn == "hair" else "", None)  # bright gaps between hairs may look like highlights
    assert all(share <= 1 / 6 for share in shares.values()), shares


@pytest.mark.parametrize(("lightness", "yellowness"), [(70.0, 16.0), (55.0, 20.0), (35.0, 12.0)])
def test_the_angle_is_that_of_the_skin_around_the_lesion(lightness: float, yellowness: float) -> None:
    colour = _srgb(lightness, 10.0, yellowness)
    image = np.broadcast_to(colour, (60, 80, 3)).copy()
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:50] = True
    image[mask] = (30, 60, 200)
    image[:4] = 255  # highlights and stops are no skin
    image[-4:] = 0
    expected = np.degrees(np.arctan((lightness - 50) / yellowness))
    assert measure_appearance(image, mask)["ita"] == pytest.approx(expected, abs=2)


def test_the_angle_is_undefined_without_skin_or_yellow() -> None:
    pink = np.broadcast_to(_srgb(65.0, 25.0, -3.0), (60, 80, 3))
    assert np.isnan(typology_angle(pink, np.ones((60, 80), bool)))
    assert np.isnan(typology_angle(skin(0)[0], np.zeros((180, 240), bool)))
    found = measure_appearance(skin(0)[0])
    assert np.isnan(found["ita"])
    assert found["ink"] == ABSENT


def _srgb(lightness: float, redness: float, yellowness: float) -> np.ndarray:
    """uint8 sRGB of a colour in CIELAB under D65, by its definition (IEC 61966-2-1)."""
    f = np.array([redness / 500, 0, -yellowness / 200]) + (lightness + 16) / 116
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * np.array([0.95047, 1, 1.08883])
    linear = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.204, 1.057]]) @ xyz
    encoded = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    colour: np.ndarray = np.round(255 * encoded).astype(np.uint8)
    return colour
