"""How an image and its mask reach a network: hair removal and resizing."""

import cv2
import numpy as np

from selcn.config.sections import Hair

HAIR_WIDTH, HAIR_KERNEL = 600, 17
"""Pixels: the kernel of hair removal, and the width of image that it is for."""
MAX_HAIR_SIDE = 1024
"""Pixels: larger images are shrunk to this, or to twice the prepared size, before hair is removed from them."""


def prepare_image(image: np.ndarray, size: tuple[int, int], *, hair: Hair) -> np.ndarray:
    """Remove hair where wanted and resize: the one way an image reaches a network.

    Hair removal takes time by pixels times width, and large images are shrunk before; grey levels then differ by less
    than one on average.

    Args:
        image: uint8 RGB (H, W, 3).
        size: width and height in pixels.
        hair: whether hair is removed first, see `without_hair`.
    """
    if not hair:
        return resize(image, size)
    return resize(without_hair(shrunk(image, size), hair), size)


def shrunk(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image no larger than takes a tolerable time to work on before it is prepared, see `MAX_HAIR_SIDE`.

    Args:
        image: (H, W, C).
        size: width and height of prepared images, in pixels.
    """
    height, width = image.shape[:2]
    scale = max(MAX_HAIR_SIDE, 2 * max(size)) / max(height, width)
    return resize(image, (max(1, round(width * scale)), max(1, round(height * scale)))) if scale < 1 else image


def smallest_size(size: tuple[int, int], hair: Hair) -> tuple[int, int]:
    """Width and height that an image must keep so that it is still shrunk by area as it is prepared.

    Args:
        size: width and height of prepared images, in pixels.
        hair: whether hair is removed from them.
    """
    longest = max(2 * max(size), MAX_HAIR_SIDE if hair else 0)
    return longest * size[0] // max(size), longest * size[1] // max(size)


def prepare_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a mask, a pixel being lesion where at least half of it is.

    Args:
        mask: bool (H, W).
        size: width and height in pixels.
    """
    return resize(mask.astype(np.uint8) * 255, size) > 127


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize by area where the image shrinks, bilinearly where it grows.

    Args:
        image: (H, W) or (H, W, C), of any type that OpenCV takes.
        size: width and height in pixels.
    """
    shrinks = size[0] < image.shape[1] or size[1] < image.shape[0]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def without_hair(image: np.ndarray, hair: Hair) -> np.ndarray:
    """The image as a configuration's key `prepare.hair` wants it.

    Args:
        image: uint8 RGB (H, W, 3).
        hair: whether hair is removed; `thesis` with red and blue swapped in the grey image, see `remove_hair`.
    """
    return remove_hair(image, swapped=hair == "thesis") if hair else image


def remove_hair(image: np.ndarray, *, threshold: int = 10, swapped: bool = False) -> np.ndarray:
    """Paint over thin dark structures, as in the thesis: black-hat with a cross, threshold, Telea with radius 1.

    The kernel is 17 pixels at 600 wide and scales with the image's width, so that any resolution is treated alike.

    Args:
        image: uint8 RGB (H, W, 3).
        threshold: black-hat response, in grey levels, above which a pixel counts as hair.
        swapped: weigh red as blue and blue as red in the grey image, as the thesis' scripts did: the weights of RGB
            (0.299, 0.587, 0.114) applied to BGR.
    """
    kernel = max(3, round(HAIR_KERNEL * image.shape[1] / HAIR_WIDTH) | 1)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if swapped else cv2.COLOR_RGB2GRAY)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (kernel, kernel))
    hair = (cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, cross) > threshold).astype(np.uint8)
    return cv2.inpaint(image, hair, 1, cv2.INPAINT_TELEA)
