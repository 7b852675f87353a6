"""Masked batches against masks drawn by hand, and against the strategies in NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from selcn.data.imaging.masking import visible_region
from selcn.errors import ConfigError
from selcn.models.masking import apply_masking, visible

BUILT_IN = ("none", "segmentation", "lae")


def box_mask(height: int, width: int, rows: slice, columns: slice) -> Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[:, :, rows, columns] = 1
    return mask


def test_pixels_outside_are_black_and_inside_untouched() -> None:
    mask = box_mask(30, 40, slice(10, 20), slice(15, 25))
    mask[..., 10, 15] = 0
    images = torch.rand(1, 3, 30, 40) + 0.1
    lesion, boxed = (apply_masking(images, mask, masking) for masking in ("segmentation", "lae"))
    assert torch.equal(lesion, torch.where(mask.bool(), images, 0.0))
    assert torch.equal(boxed[..., 8:22, 13:27], images[..., 8:22, 13:27])
    assert int((boxed != 0).sum()) == 3 * 14 * 14
    assert torch.equal(apply_masking(images, mask, "None"), images)
    assert torch.equal(apply_masking(images, mask, "LAE"), boxed)


def test_without_masking_no_mask_is_read() -> None:
    images = torch.rand(2, 3, 4, 6)
    assert apply_masking(images, torch.empty(0), "none") is images


def test_a_mask_without_lesion_hides_nothing() -> None:
    mask = torch.cat([torch.zeros(1, 1, 4, 6), box_mask(4, 6, slice(1, 3), slice(2, 4))])
    images = torch.rand(2, 3, 4, 6) + 0.1
    for masking in BUILT_IN:
        assert torch.equal(apply_masking(images, mask, masking)[0], images[0])


@given(lesions=arrays.arrays(np.bool_, st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9))))
@settings(max_examples=60)
def test_tensors_show_what_arrays_show(lesions: np.ndarray) -> None:
    mask = torch.from_numpy(lesions)[:, None].float()
    for masking in BUILT_IN:
        assert np.array_equal(visible(mask, masking)[:, 0].numpy() > 0.5, visible_region(masking, lesions))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
def test_what_is_visible_keeps_the_masks_type(dtype: torch.dtype) -> None:
    mask = box_mask(6, 8, slice(1, 4), slice(2, 6)).to(dtype)
    assert all(visible(mask, masking).dtype == dtype for masking in BUILT_IN)


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (1, 1, 8, 4)])
def test_masks_of_other_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="differ in number or size"):
        apply_masking(torch.rand(1, 3, 8, 8), torch.zeros(shape), "lae")


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ConfigError, match="masking 'lower': unknown; known are none, segmentation, lae"):
        apply_masking(torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8), "lower")
