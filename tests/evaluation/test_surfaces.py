"""Scores of masks by their borders against distances counted by hand and against every pair of points."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from selcn.errors import ConfigError, DataError
from selcn.evaluation import summarise_surfaces, surface_scores


def square(left: int, top: int, side: int) -> np.ndarray:
    """A (1, 30, 40) mask of one square."""
    mask = np.zeros((1, 30, 40), dtype=bool)
    mask[0, top : top + side, left : left + side] = True
    return mask


def test_square_in_a_square_counted_by_hand() -> None:
    # A 3x3 square in the middle of a 7x7 one: its 8 border points are 2 pixels from the outer border; of the outer 24
    # points 12 are 2 away, 8 are sqrt(5) and 4 corners sqrt(8).
    far = 12 * 2 + 8 * np.sqrt(5) + 4 * np.sqrt(8)
    expected = {"nsd": 20 / 32, "assd": (16 + far) / 32, "masd": (2 + far / 24) / 2}
    # Within 2 of its outside lies all of the small one, and of the large one all but its inner 3x3: no shared pixel.
    expected["boundary_iou"] = 0.0
    found = surface_scores(square(10, 10, 7), square(12, 12, 3), tolerance=2).iloc[0]
    assert found.to_dict() == pytest.approx(expected)
    in_mm = surface_scores(square(10, 10, 7), square(12, 12, 3), tolerance=0.1, spacing=0.05).iloc[0]
    assert in_mm["nsd"] == pytest.approx(20 / 32)
    assert in_mm["assd_mm"] == pytest.approx(expected["assd"] * 0.05)
    assert in_mm["masd_mm"] == pytest.approx(expected["masd"] * 0.05)


@pytest.mark.parametrize(
    ("tolerance", "spacing", "pixels"), [(0.3, 0.1, 3), (0.15, 0.05, 3), (0.6, 0.2, 3), (0.35, 0.05, 7)]
)
def test_a_quotient_that_is_rounded_down_is_the_same_tolerance(tolerance: float, spacing: float, pixels: int) -> None:
    assert tolerance / spacing < pixels
    # Of two squares, one in the other, edges lie at the tolerance, and the outer one's corners beyond it.
    truth, prediction = square(1, 1, 25), square(1 + pixels, 1 + pixels, 25 - 2 * pixels)
    scores = ["nsd", "boundary_iou"]
    in_mm = surface_scores(truth, prediction, tolerance=tolerance, spacing=spacing)[scores]
    pd.testing.assert_frame_equal(in_mm, surface_scores(truth, prediction, tolerance=pixels)[scores])
    assert in_mm["nsd"].item() > 0.5


@settings(deadline=None)
@given(
    hnp.arrays(bool, (2, 3, 9, 8)),
    st.tuples(st.integers(0, 8), st.integers(0, 7)).filter(any),
    st.integers(1, 1000).map(lambda count: count / 100) | st.floats(1e-3, 1e3),
)
def test_tolerance_and_spacing_may_be_scaled_together(masks: np.ndarray, far: tuple[int, int], spacing: float) -> None:
    masks[:, 0] = False
    masks[0, 0, 0, 0] = masks[1, 0, far[0], far[1]] = True  # two points, as far apart as the tolerance
    pixels, scores = float(np.hypot(*far)), ["nsd", "boundary_iou"]
    in_pixels = surface_scores(*masks, tolerance=pixels)
    in_mm = surface_scores(*masks, tolerance=pixels * spacing, spacing=spacing)
    pd.testing.assert_frame_equal(in_mm[scores], in_pixels[scores])
    assert in_mm["nsd"][0] == 1
    np.testing.assert_allclose(in_mm[["assd_mm", "masd_mm"]], in_pixels[["assd", "masd"]] * spacing)


def points(mask: np.ndarray) -> np.ndarray:
    """Points of a mask with a neighbour, above, below or beside, that is not of it or not of the image."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.argwhere(mask & ~inside)


def rims(truth: np.ndarray, prediction: np.ndarray, width: float) -> float:
    """Boundary IoU of two masks by the distance of every pixel to every pixel outside."""
    found = []
    for mask in (truth.squeeze(), prediction.squeeze()):
        padded = np.pad(mask, 1)
        own = np.argwhere(padded)
        near = cdist(own, np.argwhere(~padded)).min(axis=1) <= width if len(own) else np.empty(0, dtype=bool)
        found.append({tuple(point) for point in own[near]})
    return len(found[0] & found[1]) / len(found[0] | found[1])


def oracle(truth: np.ndarray, prediction: np.ndarray, tolerance: float) -> list[float]:
    if not truth.any() and not prediction.any():
        return [np.nan] * 4
    if not truth.any() or not prediction.any():
        return [0, 0, np.nan, np.nan]
    between = cdist(points(truth), points(prediction))
    one, other = between.min(axis=1), between.min(axis=0)
    both = np.concatenate([one, other])
    return [
        (both <= tolerance).mean(),
        rims(truth, prediction, tolerance),
        both.mean(),
        (one.mean() + other.mean()) / 2,
    ]


@settings(deadline=None)
@given(hnp.arrays(bool, (2, 3, 6, 7)), st.sampled_from([1.0, 1.5, 2.0, 3.0]))
def test_equal_to_all_pairs_of_points(masks: np.ndarray, tolerance: float) -> None:
    truth, prediction = masks
    found = surface_scores(truth, prediction, tolerance=tolerance)
    expected = [oracle(*pair, tolerance) for pair in zip(truth, prediction, strict=True)]
    np.testing.assert_allclose(found.to_numpy(), expected, atol=1e-12)


def test_empty_masks_have_no_distance_and_are_not_counted() -> None:
    none, some = np.zeros((1, 30, 40), dtype=bool), square(5, 5, 5)
    truth, prediction = np.concatenate([none, none, some, some]), np.concatenate([none, some, none, some])
    scores = surface_scores(truth, prediction, tolerance=1)
    np.testing.assert_array_equal(scores["nsd"], [np.nan, 0, 0, 1])
    np.testing.assert_array_equal(scores["boundary_iou"], [np.nan, 0, 0, 1])
    np.testing.assert_array_equal(scores["assd"], [np.nan, np.nan, np.nan, 0])
    keys = {"image_id": list("abcd"), "group": ["l", "l", "m", "n"], "fold": ["test", "test", "test", "0"]}
    table = summarise_surfaces(scores.assign(**keys), resamples=50).set_index(["fold_part", "metric"])
    counted = table[["value", "images", "groups"]]
    np.testing.assert_array_equal(counted.xs(("test", "nsd")), [0, 2, 2])
    np.testing.assert_array_equal(counted.xs(("test", "assd")), [np.nan, 0, 0])
    np.testing.assert_array_equal(counted.xs(("validation", "nsd")), [1, 1, 1])
    with pytest.raises(DataError, match="a doubled image_id"):
        summarise_surfaces(scores.assign(**keys | {"image_id": "a"}))
    assert surface_scores(none[:0], none[:0], tolerance=1).shape == (0, 4)


@pytest.mark.parametrize(
    ("tolerance", "spacing", "message"),
    [
        (0.5, None, "tolerance is 0.5 pixels; give at least one pixel"),
        (float("nan"), None, "give at least one pixel"),
        (0.04, 0.05, "tolerance is 0.04 mm at 0.05 mm a pixel; give at least one pixel"),
        (2, 0.0, "spacing is 0; give the millimetres"),
    ],
)
def test_a_tolerance_below_a_pixel_is_refused(tolerance: float, spacing: float | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        surface_scores(square(1, 1, 3), square(1, 1, 3), tolerance=tolerance, spacing=spacing)


def test_more_images_do_not_change_an_image() -> None:
    masks = np.concatenate([square(5, 5, 5), square(8, 5, 5), square(3, 3, 9)])
    together = surface_scores(masks, masks[::-1], tolerance=2)
    alone = [surface_scores(masks[[n]], masks[::-1][[n]], tolerance=2) for n in range(3)]
    pd.testing.assert_frame_equal(together, pd.concat(alone, ignore_index=True))
