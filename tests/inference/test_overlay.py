"""Outlines lie on borders, colours follow saliency, captions stay in their columns."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selcn.data.imaging.prepare import resize
from selcn.inference import overlay as overlay_module
from selcn.inference.overlay import (
    OPACITY,
    PANEL_WIDTHS,
    PREDICTED_COLOUR,
    TRUE_COLOUR,
    blend_saliency,
    draw_outline,
    draw_overlay,
    line_thickness,
    panel_size,
    render,
)
from selcn.inference.result import ClassResult, Prediction, find_lesion

VIRIDIS_ENDS = (68, 1, 84), (253, 231, 37)  # matplotlib's own first and last colour


def prediction_of(mask: np.ndarray, symmetry: np.ndarray, diagnosis: np.ndarray) -> Prediction:
    diagnoses = {"nv": 0.125, "mel": 0.5, "bkl": 0.25, "bcc": 0.0625, "akiec": 0.0625, "vasc": 0.0, "df": 0.0}
    return Prediction(
        size=(mask.shape[1], mask.shape[0]),
        target="diagnosis",
        lesion=find_lesion(mask),
        results={
            "symmetry": ClassResult({"asymmetric": 0.75, "symmetric": 0.25}, symmetry),
            "diagnosis": ClassResult(diagnoses, diagnosis),
        },
        abstain=False,
        warnings=(),
        distance=1.0,
    )


def square_mask(height: int, width: int) -> np.ndarray:
    """A rectangle over the middle half of both sides."""
    mask = np.zeros((height, width), dtype=bool)
    mask[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = True
    return mask


def has_colour(drawn: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a image has a colour, or nearly so: the edges of a line are smoothed."""
    return np.asarray(np.abs(drawn.astype(int) - colour).max(axis=2) < 40)


def border_distance(mask: np.ndarray) -> np.ndarray:
    """Pixels from the nearest lesion pixel that has a neighbour outside the lesion."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    border = mask & (inner == 0)
    return np.asarray(cv2.distanceTransform((~border).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE))


@pytest.mark.parametrize("width", [120, 320, 800])
def test_outline_covers_the_border_and_nothing_far_from_it(width: int) -> None:
    image = np.full((width * 3 // 4, width, 3), 180, np.uint8)
    mask = square_mask(*image.shape[:2])
    drawn = draw_outline(image, mask, PREDICTED_COLOUR)
    changed, distance = (drawn != image).any(axis=2), border_distance(mask)
    assert has_colour(drawn, PREDICTED_COLOUR)[distance == 0].all()
    assert distance[changed].max() <= (line_thickness(width) + 2) / 2 + 1.5  # the smoothing of a line's edge


def test_mask_of_another_size_is_outlined_where_the_same_share_of_the_image_lies() -> None:
    image = np.zeros((160, 200, 3), np.uint8)
    drawn = draw_outline(image, square_mask(640, 800), PREDICTED_COLOUR)
    np.testing.assert_array_equal(drawn, draw_outline(image, square_mask(160, 200), PREDICTED_COLOUR))


def test_every_region_and_every_hole_is_outlined() -> None:
    mask = square_mask(90, 120)
    mask[40:50, 55:65] = False
    mask[5:10, 5:10] = True
    drawn = draw_outline(np.full((90, 120, 3), 180, np.uint8), mask, PREDICTED_COLOUR)
    inked = has_colour(drawn, PREDICTED_COLOUR)
    assert inked[39, 60]
    assert inked[5, 7]
    assert inked[22, 60]


def test_dashes_leave_gaps_on_the_border_and_stay_on_it() -> None:
    image, mask = np.full((240, 320, 3), 180, np.uint8), square_mask(240, 320)
    drawn = draw_outline(image, mask, TRUE_COLOUR, dashed=True)
    on_border = has_colour(drawn, TRUE_COLOUR)[border_distance(mask) == 0]
    assert 0.35 < on_border.mean() < 0.75
    np.testing.assert_array_equal(drawn[border_distance(mask) > 4], 180)


def test_image_without_lesion_stays_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    for dashed in (False, True):
        drawn = draw_outline(image, np.zeros((60, 80), bool), PREDICTED_COLOUR, dashed=dashed)
        np.testing.assert_array_equal(drawn, image)


def test_image_is_clear_at_saliency_0_and_coloured_by_its_share_at_1() -> None:
    image = np.full((4, 8, 3), 100, np.uint8)
    saliency = np.repeat([[0.0, 1.0]], 4, axis=1).repeat(4, axis=0)
    blended = blend_saliency(image, saliency)
    np.testing.assert_array_equal(blended[:, :4], image[:, :4])
    expected = 100 * (1 - OPACITY) + OPACITY * np.array(VIRIDIS_ENDS[1])
    np.testing.assert_allclose(blended[:, 4:].astype(float), np.broadcast_to(expected, (4, 4, 3)), atol=2)


@given(st.floats(0, 1), st.integers(0, 255))
def test_colour_lies_between_image_and_map_by_the_saliency(saliency: float, grey: int) -> None:
    image = np.full((2, 2, 3), grey, np.uint8)
    blended = blend_saliency(image, np.full((2, 2), saliency, np.float32)).astype(float)
    colour = cv2.applyColorMap(np.full((1, 1), round(255 * saliency), np.uint8), cv2.COLORMAP_VIRIDIS)[0, 0, ::-1]
    np.testing.assert_allclose(blended[0, 0], grey + OPACITY * saliency * (colour.astype(float) - grey), atol=1)


@pytest.mark.parametrize(("width", "panel"), [(160, 320), (600, 600), (3000, 800)])
def test_panels_hold_outline_and_both_saliencies_at_a_sensible_width(width: int, panel: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (width * 3 // 4, width, 3)).astype(np.uint8)
    symmetry, diagnosis = np.eye(13, dtype=np.float32), np.fliplr(np.eye(9, dtype=np.float32))
    mask = square_mask(*image.shape[:2])
    prediction = prediction_of(mask, symmetry, diagnosis)
    sheet, height = draw_overlay(image, prediction), panel * 3 // 4
    assert panel_size(image, 320, 800) == (panel, height)
    small = resize(image, (panel, height))
    gap = (sheet.shape[1] - 3 * panel) // 4
    expected = [
        draw_outline(small, mask, PREDICTED_COLOUR),
        blend_saliency(small, symmetry),
        blend_saliency(small, diagnosis),
    ]
    for number, panel_expected in enumerate(expected):
        left = gap + number * (panel + gap)
        np.testing.assert_array_equal(sheet[gap : gap + height, left : left + panel], panel_expected)


def test_without_a_segmentation_the_first_panel_is_the_image() -> None:
    image = np.random.default_rng(2).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    results = {"colour": ClassResult({"few": 0.25, "many": 0.75}, np.eye(5, dtype=np.float32))}
    prediction = replace(
        prediction_of(np.zeros((300, 400), bool), *[np.zeros((2, 2))] * 2), lesion=None, results=results
    )
    drawn = render(image, prediction)
    assert list(drawn) == ["overlay"]
    gap = (drawn["overlay"].shape[1] - 2 * 400) // 3
    np.testing.assert_array_equal(drawn["overlay"][gap : gap + 300, gap : gap + 400], image)


@pytest.mark.parametrize(("overlay", "mask"), [(True, True), (True, False), (False, True), (False, False)])
def test_what_is_wanted_is_rendered(overlay: bool, mask: bool) -> None:
    image, lesion = np.zeros((60, 80, 3), np.uint8), square_mask(60, 80)
    prediction = prediction_of(lesion, *[np.zeros((2, 2), np.float32)] * 2)
    drawn = render(image, prediction, overlay=overlay, mask=mask)
    assert list(drawn) == ["overlay"] * overlay + ["mask"] * mask
    if mask:
        np.testing.assert_array_equal(drawn["mask"], np.where(lesion, 255, 0))
    if overlay:
        np.testing.assert_array_equal(drawn["overlay"], draw_overlay(image, prediction))


@settings(max_examples=25)
@given(st.integers(16, 1200), st.integers(16, 1200), st.booleans())
def test_captions_are_written_and_keep_to_their_columns(width: int, height: int, lesion: bool) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    mask = square_mask(height, width) & lesion
    flat = np.zeros((7, 7), np.float32)
    sheet = draw_overlay(image, prediction_of(mask, flat, flat))
    panel, panel_height = panel_size(image, 320, 800)
    gap = (sheet.shape[1] - 3 * panel) // 4
    captions = sheet[gap + panel_height : 2 * gap + panel_height + 3 * round(0.075 * panel)]
    ink = np.asarray((captions < 255).any(axis=2))
    for number in range(3):
        left = gap + number * (panel + gap)
        assert ink[:, left : left + panel].any()
        assert not ink[:, left + panel : left + panel + gap].any()
    assert not (sheet[-1] < 255).any()
    assert not (sheet[gap + panel_height :, -gap:] < 255).any()


def test_the_sheet_tells_its_caveats_origin_and_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, bool]] = []
    write = overlay_module._write

    def record(*given: Any, emphasised: bool) -> None:
        written.append((given[1], emphasised))
        write(*given, emphasised=emphasised)

    monkeypatch.setattr(overlay_module, "_write", record)
    image, flat = np.zeros((300, 400, 3), np.uint8), np.zeros((7, 7), np.float32)
    usual = prediction_of(square_mask(300, 400), flat, flat)
    plain = draw_overlay(image, usual)
    assert written[9:] == [
        ("no abstention, no warnings", False),
        ("border of the lesion", False),
        ("saliency, from 0 (clear) to 1 (yellow)", False),
    ]
    assert has_colour(plain[330:], PREDICTED_COLOUR).any()
    written.clear()
    doubtful = replace(usual, abstain=True, warnings=("blurred", "no lesion found"), given=("mask",))
    about = ["file: M\u00fcller.png", f"file: {'x' * 200}"]
    assert draw_overlay(image, doubtful, about).shape[1] == plain.shape[1]
    assert written[9:11] == [
        ("ABSTAINS: the answer is too uncertain to rely on", True),
        ("warnings: blurred, no lesion found", True),
    ]
    assert written[13:15] == [("given, not predicted: mask", False), ("file: M?ller.png", False)]
    assert "".join(text for text, _ in written[15:]).replace(" ", "") == f"file:{'x' * 200}"


@pytest.mark.parametrize("shape", [(30_000, 1), (1, 30_000), (1, 1)])
def test_a_strip_is_not_enlarged_beyond_measure(shape: tuple[int, int]) -> None:
    width, height = panel_size(np.zeros((*shape, 3), np.uint8), *PANEL_WIDTHS)
    assert PANEL_WIDTHS[0] <= width <= PANEL_WIDTHS[1]
    assert 1 <= height <= 4 * PANEL_WIDTHS[1]
