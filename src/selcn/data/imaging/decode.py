"""The image formats that Pillow reads -> arrays: header, image, mask."""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, ImageOps

from selcn.errors import DataError

MAX_SIDE = 65_535
"""Pixels: the most that JPEG and DICOM have; OpenCV fails at strips that are much longer."""
_HALF_LEVEL = 127
_ORIENTATION = 0x0112  # EXIF's tag
_TILE = (322, 323)  # TIFF's tags of width and height
_WRAPPERS = frozenset({"CUR", "EPS", "ICNS", "ICO", "WMF"})
"""Formats of Pillow that hold a program, or an image of another size than their header claims."""

Kind = Literal["missing", "unreadable", "truncated", "too-large", "several-frames"]


class ImageFileError(DataError):
    """An image file that cannot be read as one image.

    Args:
        kind: in which way it is faulty, one of `Kind`.
        message: one line with the file, the fault and the remedy.
    """

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Header:
    """What an image file says about itself.

    Attributes:
        format: Pillow's name of the format, told from the content: `JPEG`, `PNG`, `BMP`, ..., or `DICOM`.
        mode: Pillow's name of the pixels as stored: `RGB`, `L`, `P`, `RGBA`, `CMYK`, `I;16`, `1`, ...; of DICOM `RGB`
            for any 8-bit colours, else its photometric interpretation and bits, such as `MONOCHROME2, 12 bits`.
        size: width and height, of most formats as stored, before EXIF turns them.
        orientation: EXIF's, 1 to 8; 1 is upright.
    """

    format: str
    mode: str
    size: tuple[int, int]
    orientation: int = 1


def decode_image(data: bytes, path: Path, max_pixels: int | None = None) -> tuple[Header, np.ndarray]:
    """Decode an image as uint8 RGB (H, W, 3) in sRGB, turned as its EXIF says.

    16-bit levels lose their lower half, transparency is laid over black, an embedded colour profile other than sRGB is
    converted.

    Args:
        data: the file's content.
        path: what an error calls it.
        max_pixels: more pixels are refused; None for Pillow's limit alone.

    Returns:
        The header as stored, and the image.

    Raises:
        ImageFileError: no image, truncated, or of too many pixels, which is told before decoding.
    """
    header, image = _open(data, path, max_pixels)
    return header, np.array(_in_srgb(image))


def decode_mask(data: bytes, path: Path) -> tuple[Header, np.ndarray]:
    """Decode a lesion mask as bool (H, W); lesion is where it is brighter than half, or 1 where all is 0 or 1.

    Args:
        data: the file's content.
        path: what an error calls it.

    Returns:
        The header as stored, and the mask.

    Raises:
        DataError: neither black and white nor 0 and 1.
        ImageFileError: as for `decode_image`.
    """
    header, image = _open(data, path)
    levels = np.asarray(image if image.mode.startswith("I;16") else _over_black(image).convert("L"))
    brightest = int(levels.max())
    half = _HALF_LEVEL if brightest <= 255 else _HALF_LEVEL * 257
    if 1 < brightest <= half:
        raise DataError(
            f"{path}: the mask's brightest pixel is {brightest}; write lesion as 255, or as 1 with 0 around"
        )
    return header, levels > (half if brightest > 1 else 0)


def peek_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of an image, upright, without decoding it; None where that is no image of a known format.

    Args:
        data: the file's content.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            # Pillow would decode a PNG to find EXIF behind the pixels; hardly any has it there.
            known = image.format != "PNG" or "exif" in image.info
            return image.size[::-1] if known and _orientation(image) > 4 else image.size
    except Exception:  # as in `_open`: decoding says what is wrong
        return None


def _open(data: bytes, path: Path, max_pixels: int | None = None) -> tuple[Header, Image.Image]:
    """The header as stored, and the decoded image, upright."""
    try:
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            limit = max_pixels or 2 * (Image.MAX_IMAGE_PIXELS or 2**28)  # beyond which Pillow opens none
            if max(image.size) > MAX_SIDE or _stored_pixels(image) > limit:
                raise Image.DecompressionBombError
            header = Header(image.format or "", image.mode, image.size, _orientation(image))
            image.load()
            upright = image if header.orientation == 1 else ImageOps.exif_transpose(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageFileError(
            "too-large", f"{path}: its header claims more pixels than can be decoded; shrink it or remove the row"
        ) from None
    # Hostile and broken files make decoders raise nearly everything there is.
    except Exception as error:
        kind: Kind = "truncated" if "truncated" in str(error).lower() else "unreadable"
        what = "truncated" if kind == "truncated" else "not a readable image"
        raise ImageFileError(kind, f"{path}: {what}; replace the file or remove the row") from None
    if upright.mode in ("I", "F"):
        raise ImageFileError("unreadable", f"{path}: has 32 bits a pixel; save it with 8 or 16")
    return header, upright


def _formats() -> list[str]:
    """Formats that decode no more than their header claims, and run no program."""
    Image.init()
    return [name for name in Image.ID if name not in _WRAPPERS]


def _stored_pixels(image: Image.Image) -> int:
    """How many pixels are decoded; the tiles of TIFF are decoded whole, and may be far larger than their image."""
    tags = getattr(image, "tag_v2", {})
    tile = [int(tags.get(tag, 1)) for tag in _TILE]
    return math.prod(-(-side // step) * step for side, step in zip(image.size, tile, strict=True))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken metadata of an image that may be whole
        return 1
    return value if value in range(1, 9) else 1


def _in_srgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "CMYK"):
        try:
            embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" not in ImageCms.getProfileDescription(embedded).lower():
                srgb = ImageCms.createProfile("sRGB")
                return ImageCms.profileToProfile(image, embedded, srgb, outputMode="RGB") or image
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile: take the colours as they are, as viewers do
    return _over_black(image).convert("RGB")


def _over_black(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image.convert("RGBA")).convert("RGB")
