"""Regions, boxes and masking strategies against masks drawn by hand, and OpenCV asked about one image at a time."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from selcn.data.imaging import masking
from selcn.data.imaging.masking import Masking, find_masking, maskings, register_masking, visible_region
from selcn.data.imaging.masks import grown_boxes, largest_regions
from selcn.errors import ConfigError

Bools = npt.NDArray[np.bool_]


def draw(*masks: str) -> Bools:
    """Masks (N, H, W) from drawings whose rows are divided by spaces and whose lesion is ``#``."""
    return np.array([[[sign == "#" for sign in row] for row in mask.split()] for mask in masks])


def box_mask(height: int, width: int, rows: slice, columns: slice) -> Bools:
    mask = np.zeros((1, height, width), dtype=bool)
    mask[:, rows, columns] = True
    return mask


def naive_region(lesion: Bools) -> Bools:
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(lesion.astype(np.uint8), connectivity=8)
    if count == 1:
        return np.zeros(lesion.shape, dtype=bool)
    first_pixel = [np.flatnonzero(labels == label)[0] for label in range(1, count)]
    largest = max(range(1, count), key=lambda label: (statistics[label, cv2.CC_STAT_AREA], -first_pixel[label - 1]))
    return np.equal(labels, largest)


def naive_box(lesion: Bools, grow: float) -> list[int]:
    height, width = lesion.shape
    if not lesion.any():
        return [0, 0, width, height]
    x, y, w, h = cv2.boundingRect(naive_region(lesion).astype(np.uint8))
    left, top = max(0, x - round(grow * w)), max(0, y - round(grow * h))
    right, bottom = min(width, x + w + round(grow * w)), min(height, y + h + round(grow * h))
    return [left, top, right - left, bottom - top]


def test_largest_of_several_regions_in_each_image() -> None:
    masks = draw("#..## #..## .....", "..... ..... .....", "###.. ...#. #....", ".#... ..... #...#")
    wanted = draw("...## ...## .....", "..... ..... .....", "###.. ...#. .....", ".#... ..... .....")
    assert np.array_equal(largest_regions(masks), wanted)


def test_neighbours_are_diagonal_too_but_never_in_the_next_image() -> None:
    masks = draw("#... .#.. ..#.", "...# ...# ....")
    assert np.array_equal(largest_regions(masks), masks)
    assert np.array_equal(largest_regions(draw("##.. ....", "##.. ...#")), draw("##.. ....", "##.. ...."))


@pytest.mark.parametrize(
    ("rows", "columns", "box"),
    [
        (slice(20, 30), slice(40, 60), [36, 18, 28, 14]),
        (slice(0, 10), slice(0, 20), [0, 0, 24, 12]),
        (slice(1, 11), slice(2, 22), [0, 0, 26, 13]),
        (slice(40, 50), slice(80, 100), [76, 38, 24, 12]),
        (slice(0, 50), slice(0, 100), [0, 0, 100, 50]),
    ],
    ids=["inside", "top left corner", "near it", "bottom right corner", "everything"],
)
def test_boxes_grow_by_a_fifth_on_every_side_and_are_clipped(rows: slice, columns: slice, box: list[int]) -> None:
    mask = box_mask(50, 100, rows, columns)
    assert grown_boxes(mask).tolist() == [box]
    x, y, width, height = box
    wanted = box_mask(50, 100, slice(y, y + height), slice(x, x + width))
    assert np.array_equal(visible_region("lae", mask), wanted)


def test_box_follows_the_largest_region_and_growth() -> None:
    mask = box_mask(40, 40, slice(10, 20), slice(10, 20))
    mask[:, 35:38, 35:38] = True
    assert grown_boxes(mask, grow=0).tolist() == [[10, 10, 10, 10]]
    assert grown_boxes(mask, grow=0.5).tolist() == [[5, 5, 20, 20]]


def test_what_each_strategy_leaves_visible() -> None:
    masks = draw("......... ......... ..##.#... ..##..... .........", "......... " * 5)
    everything = np.ones((5, 9), dtype=bool)
    (box,) = draw("......... ......... ..##..... ..##..... .........")  # 20 % of 2 pixels is less than half a pixel
    for name, wanted in {"none": everything, "segmentation": masks[0], "lae": box}.items():
        assert np.array_equal(visible_region(name, masks), np.stack([wanted, everything])), name
        assert np.array_equal(visible_region(name.upper(), masks), visible_region(name, masks)), name


def test_no_masks_leave_nothing_to_show() -> None:
    nothing = np.zeros((0, 4, 5), dtype=bool)
    assert grown_boxes(nothing).shape == (0, 4)
    assert all(visible_region(name, nothing).shape == (0, 4, 5) for name in maskings())


@given(
    lesions=arrays.arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 12))),
    grow=st.sampled_from([0.0, 0.2, 0.35, 1.5]),
)
@settings(max_examples=200)
def test_a_batch_agrees_with_a_naive_oracle(lesions: Bools, grow: float) -> None:
    boxes, regions, visible = grown_boxes(lesions, grow), largest_regions(lesions), visible_region("lae", lesions)
    assert boxes.dtype == np.int64
    for image, lesion in enumerate(lesions):
        assert boxes[image].tolist() == naive_box(lesion, grow)
        assert np.array_equal(regions[image], naive_region(lesion))
        x, y, width, height = naive_box(lesion, 0.2)
        assert visible[image].sum() == width * height == visible[image, y : y + height, x : x + width].sum()


@pytest.fixture
def _own_maskings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_MASKINGS", maskings())


@pytest.mark.usefixtures("_own_maskings")
def test_a_strategy_of_a_stranger_is_known_by_its_name_in_any_case() -> None:
    def ring(masks: Bools) -> Bools:
        """The lesion's pixels that touch the background."""
        inner = [cv2.erode(mask.astype(np.uint8), np.ones((3, 3))) > 0 for mask in masks]
        return np.asarray(masks & ~np.stack(inner))

    own = register_masking(Masking("Ring", "the lesion's border", ring))
    assert list(maskings()) == ["none", "segmentation", "lae", "ring"]
    assert find_masking("RING") is own
    masks = draw("..... .###. .###. .###. .....", "..... ..... ..... ..... .....")
    wanted = draw("..... .###. .#.#. .###. .....")[0]
    assert np.array_equal(visible_region("ring", masks), np.stack([wanted, np.ones((5, 5), dtype=bool)]))


def test_an_unknown_strategy_lists_the_known_ones() -> None:
    for find in (find_masking, lambda name: visible_region(name, draw("#"))):
        with pytest.raises(ConfigError, match=r"masking 'lower': unknown; known are none, segmentation, lae$"):
            find("lower")
