"""Picture files <-> arrays: one decoder for the store, the audit, prediction and the report."""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageOps

from selcn.data.imaging.hair import remove_hair
from selcn.errors import DataError
from selcn.io.files import written_whole

HALF = 127
ASPECT_TOLERANCE = 1.02
LONGEST_SIDE = 65_535
"""Pixels: the most that JPEG and DICOM have; OpenCV fails at strips that are much longer."""
_ORIENTATION = 0x0112  # EXIF's tag

Kind = Literal["missing", "unreadable", "truncated", "too-large"]


class PictureError(DataError):
    """A picture file that cannot be had; ``kind`` says in which way."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Header:
    """What a picture file says of itself.

    Attributes:
        format: Pillow's name of the format, told from the content: `JPEG`, `PNG`, `BMP`, ...
        mode: Pillow's name of the pixels as stored: `RGB`, `L`, `P`, `RGBA`, `CMYK`, `I;16`, `1`, ...
        size: width and height, of most formats as stored, before EXIF turns them.
        orientation: EXIF's, 1 to 8; 1 is upright.
    """

    format: str
    mode: str
    size: tuple[int, int]
    orientation: int


def read_bytes(path: Path) -> bytes:
    """A file's content.

    Raises:
        PictureError: missing, or not to be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise PictureError(
            "missing", f"{path}: cannot be read ({error.strerror}); correct the path or remove the row"
        ) from None


def decode_image(data: bytes, path: Path, most: int | None = None) -> tuple[Header, np.ndarray]:
    """Decode a picture as uint8 RGB (H, W, 3) in sRGB, turned as its EXIF says.

    16-bit levels lose their lower half, transparency is laid over black, an embedded colour profile other than sRGB is
    converted.

    Args:
        data: the file's content.
        path: what an error calls it.
        most: pixels that it may have; None for Pillow's limit alone.

    Raises:
        PictureError: no picture, truncated, or of too many pixels, which is told before decoding.
    """
    header, picture = _open(data, path, most)
    return header, np.array(_in_srgb(picture))


def is_dicom(data: bytes) -> bool:
    """Whether a file begins as DICOM does."""
    return data[128:132] == b"DICM"


def decode_pictures(data: bytes, path: Path, most: int | None = None) -> list[np.ndarray]:
    """Decode every picture of a file as uint8 RGB (H, W, 3): the frames of DICOM, the one picture of all else.

    Args:
        data: the file's content.
        path: what an error calls it.
        most: pixels that all of them together may have; None for the limits of what decodes.

    Raises:
        PictureError: as for `decode_image`; or DICOM without the extra that reads it.
    """
    if not is_dicom(data):
        return [decode_image(data, path, most)[1]]
    from selcn.data.imaging.dicom import decode_dicom

    return decode_dicom(data, path, most)


def decode_mask(data: bytes, path: Path) -> tuple[Header, np.ndarray]:
    """Decode a lesion mask as bool (H, W); lesion is where it is brighter than half, or 1 where all is 0 or 1.

    Raises:
        DataError: neither black and white nor 0 and 1.
        PictureError: as for `decode_image`.
    """
    header, picture = _open(data, path)
    levels = np.asarray(picture if picture.mode.startswith("I;16") else _over_black(picture).convert("L"))
    brightest = int(levels.max())
    half = HALF if brightest <= 255 else HALF * 257
    if 1 < brightest <= half:
        raise DataError(
            f"{path}: the mask's brightest pixel is {brightest}; write lesion as 255, or as 1 with 0 around"
        )
    return header, levels > (half if brightest > 1 else 0)


def read_image(path: Path) -> np.ndarray:
    """Decode a file that holds one picture; see `decode_pictures`.

    Raises:
        PictureError: as for `decode_pictures`, or there are several.
    """
    pictures = decode_pictures(read_bytes(path), path)
    if len(pictures) > 1:
        raise PictureError("unreadable", f"{path}: holds {len(pictures)} frames; `selcn predict` takes each by itself")
    return pictures[0]


def read_mask(path: Path, image_size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode a mask file; see `decode_mask`.

    Args:
        path: the mask's file.
        image_size: width and height of its image; a mask of another shape is refused.

    Raises:
        DataError: unreadable, no mask, or of another shape than its image.
    """
    mask = decode_mask(read_bytes(path), path)[1]
    if image_size is not None and not same_shape(mask.shape[::-1], image_size):
        raise DataError(
            f"{path}: mask is {mask.shape[1]}x{mask.shape[0]} but its image is {image_size[0]}x{image_size[1]}; "
            "give a mask of the same shape"
        )
    return mask


def same_shape(size: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two (width, height) have the same aspect, to within 2 %: at whatever resolution."""
    aspect = (size[0] / size[1]) / (other[0] / other[1])
    return 1 / ASPECT_TOLERANCE < aspect < ASPECT_TOLERANCE


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


def _open(data: bytes, path: Path, most: int | None = None) -> tuple[Header, Image.Image]:
    """The header as stored, and the decoded picture, upright."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if max(picture.size) > LONGEST_SIDE or math.prod(picture.size) > (most or math.inf):
                raise Image.DecompressionBombError
            header = Header(picture.format or "", picture.mode, picture.size, _orientation(picture))
            picture.load()
            upright = picture if header.orientation == 1 else ImageOps.exif_transpose(picture)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureError(
            "too-large", f"{path}: its header claims more pixels than can be decoded; shrink it or remove the row"
        ) from None
    # Hostile and broken files make decoders raise nearly everything there is.
    except Exception as error:
        kind: Kind = "truncated" if "truncated" in str(error).lower() else "unreadable"
        what = "truncated" if kind == "truncated" else "not a readable picture"
        raise PictureError(kind, f"{path}: {what}; replace the file or remove the row") from None
    if upright.mode in ("I", "F"):
        raise PictureError("unreadable", f"{path}: has 32 bits a pixel; save it with 8 or 16")
    return header, upright


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken metadata of a picture that may be whole
        return 1
    return value if value in range(1, 9) else 1


def _in_srgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "CMYK"):
        try:
            embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" not in ImageCms.getProfileDescription(embedded).lower():
                srgb = ImageCms.createProfile("sRGB")
                return ImageCms.profileToProfile(picture, embedded, srgb, outputMode="RGB") or picture
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile: take the colours as they are, as viewers do
    return _over_black(picture).convert("RGB")


def _over_black(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture
    black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, picture.convert("RGBA")).convert("RGB")
