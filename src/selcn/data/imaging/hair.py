"""Hair removal: black-hat, threshold, inpainting."""

import cv2
import numpy as np

REFERENCE_WIDTH, REFERENCE_KERNEL = 600, 17


def remove_hair(image: np.ndarray, *, threshold: int = 10) -> np.ndarray:
    """Paint over thin dark structures, as in the thesis: black-hat with a cross, threshold, Telea with radius 1.

    The kernel is 17 pixels at 600 wide and scales with the image's width, so that any resolution is treated alike.

    Args:
        image: uint8 RGB (H, W, 3).
        threshold: black-hat response, in grey levels, above which a pixel counts as hair.
    """
    kernel = max(3, round(REFERENCE_KERNEL * image.shape[1] / REFERENCE_WIDTH) | 1)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (kernel, kernel))
    hair = (cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, cross) > threshold).astype(np.uint8)
    return cv2.inpaint(image, hair, 1, cv2.INPAINT_TELEA)
