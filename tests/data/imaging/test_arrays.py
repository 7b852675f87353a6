"""Arrays and images of Pillow that mean one image, and those that could mean several."""

import numpy as np
import pytest
from PIL import Image

from selcn.data.imaging.arrays import as_rgb
from selcn.errors import DataError

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RGB[..., 0]
RGBA = np.dstack([RGB, np.full((5, 7), 255, np.uint8)])


def test_rgb_comes_back_as_it_is() -> None:
    assert as_rgb(RGB) is RGB


@pytest.mark.parametrize(
    "image",
    [
        RGBA,
        RGB.astype(np.uint16) << 8 | 77,
        RGBA.astype(np.uint16) << 8,
        RGB / 255,
        (RGB / 255).astype(np.float32),
        Image.fromarray(RGB),
        Image.fromarray(RGBA),
    ],
)
def test_every_form_of_an_image_gives_its_levels(image: object) -> None:
    assert np.array_equal(as_rgb(image), RGB)


@pytest.mark.parametrize(
    "image", [GREY, GREY[..., None], GREY.astype(np.uint16) << 8, GREY / 255, Image.fromarray(GREY)]
)
def test_grey_is_repeated(image: object) -> None:
    assert np.array_equal(as_rgb(image), np.dstack([GREY] * 3))


def test_transparency_lies_over_black() -> None:
    half = np.dstack([np.full((2, 2, 3), 200, np.uint8), np.full((2, 2), 51, np.uint8)])
    assert (as_rgb(half) == 40).all()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (RGB.astype(np.uint16), "its brightest level is 2"),
        (RGB.astype(np.float32), "scale them to \\[0, 1\\] or give uint8"),
        (np.full((4, 4), np.nan), "levels nan to nan"),
        (RGB.astype(np.int64), "image: int64 \\(5, 7, 3\\); give"),
        (GREY > 9, "image: bool"),
        (RGB.transpose(2, 0, 1), "image: uint8 \\(3, 5, 7\\); give"),
        (RGB[None], "\\(1, 5, 7, 3\\)"),
        (RGB[:0], "\\(0, 7, 3\\)"),
        (RGB.tolist(), "image: is a list; give"),
        (Image.new("F", (4, 4)), "mode F has 32 bits"),
    ],
)
def test_what_could_be_meant_in_several_ways_is_refused_in_one_line(image: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        as_rgb(image)
    assert "\n" not in str(caught.value)
