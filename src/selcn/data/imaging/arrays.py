"""Arrays and images of Pillow, as people have them in Python -> uint8 RGB."""

from typing import Any

import numpy as np
from PIL import Image, ImageOps

from selcn.data.imaging.decode import to_rgb
from selcn.errors import DataError

MIN_BRIGHT_16 = 4096
"""The brightest level of a uint16 image below which its levels may be of 8, 10 or 12 bits, nobody can tell."""
_WANTED = (
    "give a path, an image of Pillow, or an array (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16 or float in [0, 1]"
)


def as_rgb(image: object) -> np.ndarray:
    """An image as uint8 RGB (H, W, 3); an array that is such already comes back as it is.

    Grey levels are repeated, transparency is laid over black, 16-bit levels lose their lower half, and floats are
    rounded to 255 levels, as when image files are decoded.

    Args:
        image: grey (H, W) or (H, W, 1), RGB (H, W, 3) or RGBA (H, W, 4), of uint8, uint16, or float in [0, 1]; or an
            image of Pillow.

    Raises:
        DataError: anything else, which could be meant in several ways.
    """
    if isinstance(image, Image.Image):
        upright = ImageOps.exif_transpose(image)
        if upright.mode in ("I", "F"):
            raise DataError(f"image: mode {upright.mode} has 32 bits a pixel; {_WANTED}")
        return to_rgb(upright)
    if not isinstance(image, np.ndarray):
        raise DataError(f"image: is a {type(image).__name__}; {_WANTED}")
    levels = _levels(image)
    if levels.ndim == 3 and levels.shape[2] == 1:
        levels = levels[..., 0]
    if levels.ndim == 2:
        return np.repeat(levels[..., None], 3, axis=2)
    if levels.shape[2] == 4:
        return to_rgb(Image.fromarray(np.ascontiguousarray(levels)))
    return levels


def _levels(image: np.ndarray[Any, Any]) -> np.ndarray:
    """The same as uint8."""
    what = f"image: {image.dtype} {image.shape}"
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)) or not image.size:
        raise DataError(f"{what}; {_WANTED}")
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        if 0 < image.max() < MIN_BRIGHT_16:
            raise DataError(f"{what}: its brightest level is {image.max()} of 65535; scale it to 16 bits or give uint8")
        return np.asarray(image >> 8, np.uint8)
    if np.issubdtype(image.dtype, np.floating):
        if not (image.min() >= 0 and image.max() <= 1):  # NaN compares false
            raise DataError(f"{what}: levels {image.min():g} to {image.max():g}; scale them to [0, 1] or give uint8")
        return np.asarray(np.rint(image * 255), np.uint8)
    raise DataError(f"{what}; {_WANTED}")
