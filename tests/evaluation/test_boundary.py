"""Borders of masks against distances counted by hand and against every pair of points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from selcn.evaluation.segmentation import BORDER_TOLERANCE, boundary_scores


def square(left: int, top: int, side: int, size: tuple[int, int] = (30, 40)) -> np.ndarray:
    """A (1, H, W) mask of one square."""
    mask = np.zeros((1, *size), dtype=bool)
    mask[0, top : top + side, left : left + side] = True
    return mask


def test_shifted_square_counted_by_hand() -> None:
    # 5x5 squares, the second three pixels to the right. From the 16 border points of either to the nearest of the
    # other's: the top row 3, 2, 1, 0, 0 and so the bottom row; the far side's inner points 3, 3, 3; the near side's,
    # which lie inside the other square, 1, 1, 1.
    scores = boundary_scores(square(5, 5, 5), square(8, 5, 5))
    assert scores["boundary_f1"][0] == pytest.approx(9 / 16)
    assert scores["hausdorff95"][0] == pytest.approx(3 / 50)


def test_square_in_a_square_counted_by_hand() -> None:
    # A 3x3 square in the middle of a 7x7 one: its 8 border points are 2 pixels from the outer border; of the outer 24
    # points 12 are 2 away, 8 are sqrt(5) and 4 corners sqrt(8), so that 95 % of them lie within sqrt(8).
    scores = boundary_scores(square(10, 10, 7), square(12, 12, 3))
    assert scores["boundary_f1"][0] == 0
    assert scores["hausdorff95"][0] == pytest.approx(np.sqrt(8) / 50)


def test_empty_masks_are_as_good_or_as_wrong_as_can_be() -> None:
    none, some = np.zeros((1, 30, 40), dtype=bool), square(5, 5, 5)
    truth, prediction = np.concatenate([none, none, some, some]), np.concatenate([none, some, none, some])
    scores = boundary_scores(truth, prediction)
    assert scores["boundary_f1"].tolist() == [1, 0, 0, 1]
    assert scores["hausdorff95"].tolist() == [0, 1, 1, 0]


def borders(mask: np.ndarray) -> np.ndarray:
    """Points of a mask with a neighbour, above, below or beside, that is not of it or not of the image."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.argwhere(mask & ~inside)


def pairwise(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    """Both scores of one pair of masks, by all pairs of points."""
    if not truth.any() or not prediction.any():
        both = not truth.any() and not prediction.any()
        return (1.0, 0.0) if both else (0.0, 1.0)
    between = cdist(borders(truth), borders(prediction))
    diagonal = np.hypot(*truth.shape)
    reach = max(1.0, BORDER_TOLERANCE * diagonal)
    recall, precision = (between.min(1) <= reach).mean(), (between.min(0) <= reach).mean()
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return f1, max(np.percentile(between.min(1), 95), np.percentile(between.min(0), 95)) / diagonal


@given(hnp.arrays(bool, (2, 3, 6, 7)))
def test_equal_to_all_pairs_of_points(masks: np.ndarray) -> None:
    truth, prediction = masks
    scores = boundary_scores(truth, prediction)
    oracle = [pairwise(*pair) for pair in zip(truth, prediction, strict=True)]
    np.testing.assert_allclose(np.stack([scores["boundary_f1"], scores["hausdorff95"]], 1), oracle, atol=1e-12)


def test_large_masks_have_a_tolerance_of_their_diagonal() -> None:
    # 300x400: the diagonal is 500 pixels, 0.75 % of it 3.75.
    large = (300, 400)
    scores = [boundary_scores(square(50, 50, 60, large), square(50 + by, 50 + by, 60, large)) for by in (2, 4)]
    assert scores[0]["boundary_f1"][0] == 1.0
    assert scores[1]["boundary_f1"][0] < 0.2
