"""Picture files <-> arrays: one decoder for the store, for prediction and for the report."""

from pathlib import Path

import cv2
import numpy as np

from selcn.data.hair import remove_hair
from selcn.errors import DataError
from selcn.files import written_whole

HALF = 127


def read_image(path: Path) -> np.ndarray:
    """Decode a picture as uint8 RGB (H, W, 3), turned as its EXIF says.

    Raises:
        DataError: missing, or not a readable picture.
    """
    return cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_mask(path: Path, image_size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode a lesion mask as bool (H, W); lesion is where the picture is brighter than half, or 1 where all is 0 or 1.

    Args:
        path: the mask's file.
        image_size: width and height of its image; a mask of another shape (aspect off by over 2 %) is refused.

    Raises:
        DataError: missing, unreadable, neither black and white nor 0 and 1, or of another shape than its image.
    """
    grey = _decode(path, cv2.IMREAD_GRAYSCALE)
    if 1 < grey.max() <= HALF:
        raise DataError(
            f"{path}: the mask's brightest pixel is {grey.max()}; write lesion as 255, or as 1 with 0 around"
        )
    mask = grey > (HALF if grey.max() > 1 else 0)
    if image_size is not None:
        height, width = mask.shape
        aspect = (width / height) / (image_size[0] / image_size[1])
        if not 1 / 1.02 < aspect < 1.02:
            raise DataError(
                f"{path}: mask is {width}x{height} but its image is {image_size[0]}x{image_size[1]}; "
                "give a mask of the same shape"
            )
    return mask


def write_image(path: Path, image: np.ndarray) -> None:
    """Write uint8 RGB (H, W, 3) or grey (H, W) in the format of the path's suffix, then rename it into place."""
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    done, data = cv2.imencode(path.suffix, stored)
    if not done:
        raise DataError(f"{path}: cannot be written as {path.suffix}; use .png or .jpg")
    with written_whole(path) as partial:
        partial.write_bytes(data.tobytes())


def prepare_image(image: np.ndarray, size: tuple[int, int], *, hair: bool) -> np.ndarray:
    """Remove hair where wanted and resize to ``size`` (width, height): the one way a picture reaches a network."""
    clean = remove_hair(image) if hair else image
    return resize(clean, size)


def prepare_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a boolean mask to ``size`` (width, height), a pixel being lesion where at least half of it is."""
    return resize(mask.astype(np.uint8) * 255, size) > 127


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to (width, height): by area when it shrinks, bilinearly when it grows."""
    shrinks = size[0] < image.shape[1] or size[1] < image.shape[0]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _decode(path: Path, mode: int) -> np.ndarray:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); correct the path or remove the row") from None
    try:
        picture = cv2.imdecode(data, mode) if data.size else None
    except cv2.error:
        picture = None
    if picture is None:
        raise DataError(f"{path}: not a readable picture; replace the file or remove the row")
    return picture
