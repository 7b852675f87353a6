"""Masks drawn by hand, and a naive oracle that asks OpenCV about one image at a time."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from selcn.data.imaging.masking import Masking, find_masking, maskings, register_masking
from selcn.data.imaging.masks import grown_boxes, largest_regions
from selcn.errors import ConfigError
from selcn.models.masking import apply_masking, visible

BUILT_IN = ("none", "segmentation", "lae")


def largest_region(mask: Tensor) -> Tensor:
    return torch.from_numpy(largest_regions(mask[:, 0].numpy() > 0.5))[:, None].to(mask)


def lesion_boxes(mask: Tensor, grow: float = 0.2) -> Tensor:
    return torch.from_numpy(grown_boxes(mask[:, 0].numpy() > 0.5, grow))


def draw(*pictures: str) -> Tensor:
    """Masks (N, 1, H, W) from pictures whose rows are divided by spaces and whose lesion is ``#``."""
    return torch.tensor([[[[float(c == "#") for c in row] for row in picture.split()]] for picture in pictures])


def box_mask(height: int, width: int, rows: slice, columns: slice) -> Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[:, :, rows, columns] = 1
    return mask


def naive_region(lesion: np.ndarray) -> np.ndarray:
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(lesion.astype(np.uint8), connectivity=8)
    if count == 1:
        return np.zeros(lesion.shape, dtype=bool)
    first_pixel = [np.flatnonzero(labels == label)[0] for label in range(1, count)]
    largest = max(range(1, count), key=lambda label: (statistics[label, cv2.CC_STAT_AREA], -first_pixel[label - 1]))
    return np.equal(labels, largest)


def naive_box(lesion: np.ndarray, grow: float) -> list[int]:
    height, width = lesion.shape
    if not lesion.any():
        return [0, 0, width, height]
    x, y, w, h = cv2.boundingRect(naive_region(lesion).astype(np.uint8))
    left, top = max(0, x - round(grow * w)), max(0, y - round(grow * h))
    right, bottom = min(width, x + w + round(grow * w)), min(height, y + h + round(grow * h))
    return [left, top, right - left, bottom - top]


def test_largest_of_several_regions_in_each_image() -> None:
    mask = draw("#..## #..## .....", "..... ..... .....", "###.. ...#. #....", ".#... ..... #...#")
    wanted = draw("...## ...## .....", "..... ..... .....", "###.. ...#. .....", ".#... ..... .....")
    assert torch.equal(largest_region(mask), wanted)


def test_neighbours_are_diagonal_too_but_never_in_the_next_image() -> None:
    mask = draw("#... .#.. ..#.", "...# ...# ....")
    assert torch.equal(largest_region(mask), mask)
    assert torch.equal(largest_region(draw("##.. ....", "##.. ...#")), draw("##.. ....", "##.. ...."))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
def test_regions_keep_the_mask_s_type(dtype: torch.dtype) -> None:
    mask = draw("##. ..#").to(dtype)
    assert largest_region(mask).dtype == dtype
    assert all(visible(mask, masking).dtype == dtype for masking in BUILT_IN)


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
    assert lesion_boxes(box_mask(50, 100, rows, columns)).tolist() == [box]


def test_box_follows_the_largest_region_and_growth() -> None:
    mask = box_mask(40, 40, slice(10, 20), slice(10, 20))
    mask[:, :, 35:38, 35:38] = 1
    assert lesion_boxes(mask, grow=0).tolist() == [[10, 10, 10, 10]]
    assert lesion_boxes(mask, grow=0.5).tolist() == [[5, 5, 20, 20]]


def test_a_mask_without_lesion_hides_nothing() -> None:
    mask = torch.cat([torch.zeros(1, 1, 4, 6), box_mask(4, 6, slice(1, 3), slice(2, 4))])
    images = torch.rand(2, 3, 4, 6) + 0.1
    assert lesion_boxes(mask)[0].tolist() == [0, 0, 6, 4]
    for masking in BUILT_IN:
        assert torch.equal(apply_masking(images, mask, masking)[0], images[0])


def test_pixels_outside_are_black_and_inside_untouched() -> None:
    mask = box_mask(30, 40, slice(10, 20), slice(15, 25))
    mask[..., 10, 15] = 0
    images = torch.rand(1, 3, 30, 40) + 0.1
    lesion, boxed = (apply_masking(images, mask, masking) for masking in ("segmentation", "lae"))
    assert torch.equal(lesion, torch.where(mask.bool(), images, 0.0))
    assert torch.equal(boxed[..., 8:22, 13:27], images[..., 8:22, 13:27])
    assert int((boxed != 0).sum()) == 3 * 14 * 14
    assert torch.equal(apply_masking(images, mask, "none"), images)


def test_segmentation_shows_every_region_of_the_mask() -> None:
    mask = draw("##..# ##... .....")
    assert torch.equal(visible(mask, "segmentation"), mask)


def test_an_empty_batch_stays_empty() -> None:
    mask = torch.zeros(0, 1, 4, 5)
    assert lesion_boxes(mask).shape == (0, 4)
    assert apply_masking(torch.zeros(0, 3, 4, 5), mask, "lae").shape == (0, 3, 4, 5)


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (1, 1, 8, 4)])
def test_masks_of_other_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="differ in number or size"):
        apply_masking(torch.rand(1, 3, 8, 8), torch.zeros(shape), "lae")


@given(
    lesions=arrays.arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 12))),
    grow=st.sampled_from([0.0, 0.2, 0.35, 1.5]),
)
@settings(max_examples=200)
def test_a_batch_agrees_with_a_naive_oracle(lesions: np.ndarray, grow: float) -> None:
    mask = torch.from_numpy(lesions)[:, None].float()
    boxes, regions = lesion_boxes(mask, grow), largest_region(mask)
    assert boxes.dtype == torch.int64
    inside = visible(mask, "lae")
    for image, lesion in enumerate(lesions):
        assert boxes[image].tolist() == naive_box(lesion, grow)
        assert np.array_equal(regions[image, 0].numpy() > 0, naive_region(lesion))
        x, y, width, height = naive_box(lesion, 0.2)
        assert int(inside[image].sum()) == width * height == int(inside[image, 0, y : y + height, x : x + width].sum())


def test_a_masking_that_a_stranger_registers_is_known_everywhere() -> None:
    rows = register_masking(Masking("upper-half", "rows above the middle", lambda masks: _upper(masks)))
    assert find_masking("UPPER-HALF") is rows
    assert "upper-half" in maskings()
    images, mask = torch.rand(2, 3, 4, 6) + 0.1, torch.cat([torch.ones(1, 1, 4, 6), torch.zeros(1, 1, 4, 6)])
    seen = apply_masking(images, mask, "upper-half")
    assert torch.equal(seen[0, :, :2], images[0, :, :2])
    assert not seen[0, :, 2:].any()
    assert torch.equal(seen[1], images[1]), "without lesion nothing is hidden"
    with pytest.raises(ConfigError, match="masking 'lower': unknown; known are none, segmentation, lae"):
        apply_masking(images, mask, "lower")


def _upper(masks: np.ndarray) -> np.ndarray:
    upper = np.zeros_like(masks)
    upper[:, : masks.shape[1] // 2] = True
    return upper
