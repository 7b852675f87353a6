"""Image files <-> arrays, whatever their format: the one decoder of store, audit, prediction and report."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from selcn.data.imaging.address import locate
from selcn.data.imaging.decode import Header, ImageFileError, count_pages, count_pixels, decode_mask, decode_pages
from selcn.errors import ConfigError, DataError
from selcn.io import storage
from selcn.io.files import written_whole

MAX_ASPECT_RATIO = 1.02
"""By which the aspects of an image and its mask may differ."""


class ImageFile(NamedTuple):
    """What an address of an image holds.

    Attributes:
        data: the file's content; of one frame of several the bytes of its pixels.
        header: as stored.
        frames: uint8 RGB (H, W, 3) each.
    """

    data: bytes
    header: Header
    frames: list[np.ndarray]


def read_file(path: Path, smallest: tuple[int, int] | None = None) -> ImageFile:
    """Read and decode the images of a file, or the one of them that an address names.

    Args:
        path: a file, or an address of `selcn.data.imaging.address`.
        smallest: as for `decode_file`.

    Raises:
        ImageFileError: missing, or as for `decode_file`.
    """
    data, frame = read_bytes(path), locate(path).frame
    header, frames = decode_file(data, path, frame=frame, smallest=smallest)
    return ImageFile(data if frame is None else frames[0].tobytes(), header, frames)


def read_bytes(path: Path) -> bytes:
    """A file's content; of an image of an HDF5 file, its own.

    Args:
        path: a file, or an address of `selcn.data.imaging.address`.

    Raises:
        ImageFileError: missing, or not to be read.
        StorageError: object storage cannot be reached or refuses.
    """
    found = locate(path)
    try:
        if found.key:
            from selcn.data.imaging.hdf5 import read_key

            return read_key(found.file, found.key)
        if storage.is_remote(found.file):
            return storage.read(found.file)
        return found.file.read_bytes()
    except ConfigError as error:
        raise ImageFileError("unreadable", str(error)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no name of a file"
        raise ImageFileError(
            "missing", f"{path}: cannot be read ({reason}); correct the path or remove the row"
        ) from None


def is_dicom(data: bytes) -> bool:
    """Whether a file begins as DICOM does.

    Args:
        data: the file's content.
    """
    return data[128:132] == b"DICM"


def count_frames(path: Path) -> int:
    """How many images a file holds, told from its header; 1 of what cannot be read.

    Args:
        path: the file.
    """
    try:
        data = read_bytes(path)
    except ImageFileError:
        return 1
    if not is_dicom(data):
        return count_pages(data)
    try:
        from selcn.data.imaging import dicom_size
    except ImportError:
        return 1
    return dicom_size.count_frames(data)


def claimed_pixels(data: bytes) -> int:
    """Pixels that a file claims in all its frames, told without decoding them; 0 of what cannot be read.

    Args:
        data: the file's content.
    """
    if not is_dicom(data):
        return count_pixels(data)
    try:
        from selcn.data.imaging import dicom_size
    except ImportError:
        return 0
    return dicom_size.claimed_pixels(data)


def decode_file(
    data: bytes,
    path: Path,
    max_pixels: int | None = None,
    frame: int | None = None,
    smallest: tuple[int, int] | None = None,
) -> tuple[Header, list[np.ndarray]]:
    """Decode the frames of DICOM, the pages of TIFF, or the one image of most other formats, as uint8 RGB (H, W, 3).

    Args:
        data: the file's content.
        path: what an error calls it.
        max_pixels: of all frames together, more are refused; None for the limits of the decoder.
        frame: number of the one to decode, from 0; None for all.
        smallest: width and height, upright, down to which JPEG may be shrunk as it is decoded; None for its whole size.

    Returns:
        The header as stored, and the frames.

    Raises:
        ImageFileError: as for `decode_pages`; or DICOM without the extra that reads it.
    """
    if is_dicom(data):
        from selcn.data.imaging.dicom import decode_dicom

        return decode_dicom(data, path, max_pixels, frame)
    return decode_pages(data, path, max_pixels, frame, smallest)


def decode_frames(data: bytes, path: Path, max_pixels: int | None = None) -> list[np.ndarray]:
    """The frames alone of `decode_file`, each uint8 RGB (H, W, 3).

    Args:
        data: the file's content.
        path: what an error calls it.
        max_pixels: of all frames together, more are refused; None for the limits of the decoder.

    Raises:
        ImageFileError: as for `decode_file`.
    """
    return decode_file(data, path, max_pixels)[1]


def read_image(path: Path) -> np.ndarray:
    """Decode a file that holds one image, or one image of a file, as uint8 RGB (H, W, 3).

    Args:
        path: the file, or an address of `selcn.data.imaging.address`.

    Raises:
        ImageFileError: as for `decode_frames`, or there are several frames.
    """
    frames = read_file(path).frames
    if len(frames) > 1:
        raise ImageFileError(
            "several-frames", f"{path}: holds {len(frames)} frames; name one as {path.name}#0, as `selcn index` does"
        )
    return frames[0]


def read_mask(path: Path, image_size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode a mask file as bool (H, W); see `decode_mask`.

    Args:
        path: the mask's file.
        image_size: width and height of its image; a mask of another aspect is refused.

    Raises:
        DataError: unreadable, no mask, or of another aspect than its image.
    """
    mask = decode_mask(read_bytes(path), path, locate(path).frame or 0)[1]
    if image_size is not None and not same_aspect(mask.shape[::-1], image_size):
        raise DataError(
            f"{path}: mask is {mask.shape[1]}x{mask.shape[0]} but its image is {image_size[0]}x{image_size[1]}; "
            "give a mask of the same shape"
        )
    return mask


def same_aspect(size: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two sizes have the same ratio of width to height, to within 2 %, at whatever resolution.

    Args:
        size: width and height.
        other: width and height of the other.
    """
    ratio = (size[0] / size[1]) / (other[0] / other[1])
    return 1 / MAX_ASPECT_RATIO < ratio < MAX_ASPECT_RATIO


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image in the format of the path's suffix, whole or not at all.

    Args:
        path: the file to write.
        image: uint8 RGB (H, W, 3) or grey (H, W).

    Raises:
        DataError: the suffix names no format that can be written.
    """
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    done, data = cv2.imencode(path.suffix, stored)
    if not done:
        raise DataError(f"{path}: cannot be written as {path.suffix}; use .png or .jpg")
    with written_whole(path) as partial:
        partial.write_bytes(data.tobytes())
