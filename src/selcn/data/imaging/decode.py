"""The image formats that Pillow reads -> arrays: header, image, mask."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from PIL import Image, ImageCms, ImageOps

from selcn.data.imaging.unpacked_size import gif_canvas, is_bomb, is_gif
from selcn.errors import ConfigError, DataError, require_extra

MAX_SIDE = 65_535
"""Pixels: the most that JPEG and DICOM have; OpenCV fails at strips that are much longer."""
MAX_FRAMES = 10_000
_HALF_LEVEL = 127
_ORIENTATION = 0x0112  # EXIF's tag
_NOT_TURNED = 4  # orientations up to which width stays width
SHRUNK = frozenset({"JPEG", "MPO"})
"""Formats that can be shrunk as they are decoded; MPO is JPEG with further pictures behind it, as cameras write it."""
_SUBFILE, _NOT_ITS_OWN = 254, 0b101  # TIFF's tag; a page that is a smaller version or the transparency of another
_PAGED = frozenset({"TIFF", "GIF", "WEBP", "AVIF"})
"""Formats whose frames are images each. The further images of others (MPO, HEIC, animated PNG) show the first again."""
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
T = TypeVar("T")
_TILE = (322, 323)  # TIFF's tags of width and height
_WRAPPERS = frozenset({"BLP", "CUR", "EPS", "ICNS", "ICO", "IPTC", "WMF"})
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

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height once EXIF has turned the image."""
        return self.size[::-1] if self.orientation > _NOT_TURNED else self.size


def decode_pages(
    data: bytes,
    path: Path,
    max_pixels: int | None = None,
    frame: int | None = None,
    smallest: tuple[int, int] | None = None,
) -> tuple[Header, list[np.ndarray]]:
    """Decode every page of TIFF and every frame of GIF, WebP and AVIF, and the one image of any other format.

    Images are uint8 RGB (H, W, 3) in sRGB, turned as their EXIF says: 16-bit levels lose their lower half, transparency
    is laid over black, an embedded colour profile other than sRGB is converted. JPEG can be decoded at a half, a
    quarter or an eighth of its size, by leaving out frequencies (libjpeg's scaling).

    Args:
        data: the file's content.
        path: what an error calls it.
        max_pixels: of all pages together, more are refused; None for four times Pillow's limit, which no page may pass.
        frame: number of the one to decode, from 0; None for all.
        smallest: width and height, upright, down to which JPEG may be decoded so; None for its whole size.

    Returns:
        The header as stored, of the first, and the images.

    Raises:
        ImageFileError: no image, truncated, of too many pixels, which is told before decoding, or there is no page of
            that number.
    """
    return _open(data, path, to_rgb, max_pixels, frame, smallest)


def decode_mask(data: bytes, path: Path, frame: int = 0) -> tuple[Header, np.ndarray]:
    """Decode a lesion mask as bool (H, W); lesion is where it is brighter than half, or 1 where all is 0 or 1.

    Of two dark colours of a palette the brighter one is lesion.

    Args:
        data: the file's content.
        path: what an error calls it.
        frame: number of the page, from 0.

    Returns:
        The header as stored, and the mask.

    Raises:
        DataError: neither black and white nor 0 and 1.
        ImageFileError: as for `decode_pages`.
    """
    header, (levels,) = _open(data, path, _mask_levels, None, frame, None)
    brightest = int(levels.max())
    half = _HALF_LEVEL if brightest <= 255 else _HALF_LEVEL * 257
    if 1 < brightest <= half:
        raise DataError(
            f"{path}: the mask's brightest pixel is {brightest}; write lesion as 255, or as 1 with 0 around"
        )
    return header, levels > (half if brightest > 1 else 0)


def _mask_levels(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return np.asarray(image)
    levels = np.asarray(_over_black(image).convert("L"))
    if image.mode == "P" and levels.max() <= _HALF_LEVEL:
        used = np.unique(np.asarray(image))
        if len(used) == 2:
            grey = [int(levels[np.asarray(image) == index][0]) for index in used]
            lesion = used[0] if grey[0] > grey[1] else used[1]  # of equally bright ones the higher index
            return np.asarray(np.asarray(image) == lesion, np.uint8)
        if levels.max() > 1 and len(used) == 1:
            return np.full(levels.shape, used[0] != 0, np.uint8)
    return levels


def peek_size(data: bytes, frame: int = 0) -> tuple[int, int] | None:
    """Width and height of an image, upright, without decoding it; None where that is no image of a known format.

    Args:
        data: the file's content.
        frame: number of the page, from 0.
    """
    try:
        with _identified(data, Path("file")) as image:
            if frame:
                image.seek(_pages(image)[frame])
            # Pillow would decode a PNG to find EXIF behind the pixels; hardly any has it there.
            known = image.format != "PNG" or "exif" in image.info
            return image.size[::-1] if known and _orientation(image) > _NOT_TURNED else image.size
    except Exception:  # as in `_open`: decoding says what is wrong
        return None


def count_pages(data: bytes) -> int:
    """How many images `decode_pages` finds, told from headers alone; 1 of what cannot be read.

    Args:
        data: the file's content.
    """
    try:
        with _identified(data, Path("file")) as image:
            return len(_pages(image))
    except Exception:  # as in `_open`: decoding says what is wrong
        return 1


def count_pixels(data: bytes) -> int:
    """How many pixels `decode_pages` decodes, told from headers alone; 0 of what cannot be read.

    Args:
        data: the file's content.
    """
    try:
        if is_gif(data):
            return math.prod(gif_canvas(data))
        with _identified(data, Path("file")) as image:
            pages = _pages(image)
            if image.format != "TIFF":  # whose pages differ in size, and which is not decoded to reach them
                return len(pages) * math.prod(image.size)
            total = 0
            for page in pages:
                image.seek(page)
                total += _stored_pixels(image)
            return total
    except Exception:  # as in `_open`: decoding says what is wrong
        return 0


def _open(
    data: bytes,
    path: Path,
    convert: Callable[[Image.Image], T],
    max_pixels: int | None,
    frame: int | None,
    smallest: tuple[int, int] | None,
) -> tuple[Header, list[T]]:
    """The header as stored, and every wanted page, upright and converted."""
    try:
        with _identified(data, path, max_pixels) as image:
            if is_bomb(data, image.format or "", math.prod(image.size) * int(getattr(image, "n_frames", 1))):
                what = "unpacks to more than its header claims; replace the file"
                raise ImageFileError("too-large", f"{path}: {what}")
            pages = [0] if frame == 0 else _pages(image)
            if frame is not None and frame >= len(pages):
                raise ImageFileError("missing", f"{path}: holds {len(pages)} images, which are counted from 0")
            wanted = pages if frame is None else [pages[frame]]
            # Pillow opens no image of more than twice its limit.
            limit = max_pixels or (2 if len(wanted) == 1 else 4) * (Image.MAX_IMAGE_PIXELS or 2**28)
            headers, found, pixels = [], [], 0
            for page in wanted:
                if page:
                    image.seek(page)
                pixels += _stored_pixels(image)
                if max(image.size) > MAX_SIDE or pixels > limit:
                    raise Image.DecompressionBombError
                header = Header(image.format or "", image.mode, image.size, _orientation(image))
                if smallest and image.format in SHRUNK:
                    image.draft(None, smallest[::-1] if header.orientation > _NOT_TURNED else smallest)
                image.load()
                upright = image if header.orientation == 1 else ImageOps.exif_transpose(image)
                if upright.mode in ("I", "F"):
                    raise ImageFileError("unreadable", f"{path}: has 32 bits a pixel; save it with 8 or 16")
                headers.append(header)
                found.append(convert(upright))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageFileError(
            "too-large", f"{path}: its header claims more pixels than can be decoded; shrink it or remove the row"
        ) from None
    except (ImageFileError, ConfigError):
        raise
    # Hostile and broken files make decoders raise nearly everything there is.
    except Exception as error:
        kind: Kind = "truncated" if "truncated" in str(error).lower() else "unreadable"
        what = "truncated" if kind == "truncated" else "not a readable image"
        raise ImageFileError(kind, f"{path}: {what}; replace the file or remove the row") from None
    return headers[0], found


def _identified(data: bytes, path: Path, max_pixels: int | None = None) -> Image.Image:
    """The opened image; Pillow reads HEIC once a plugin is registered, and lays out a GIF's canvas as it opens it."""
    if is_gif(data) and math.prod(gif_canvas(data)[:2]) > (max_pixels or 2 * (Image.MAX_IMAGE_PIXELS or 2**28)):
        raise Image.DecompressionBombError
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS and "HEIF" not in Image.OPEN:
        try:
            require_extra("pillow_heif", "heic", f"{path}: HEIC").register_heif_opener()
        except ConfigError as error:
            raise ImageFileError("unreadable", str(error)) from None
    return Image.open(io.BytesIO(data), formats=_formats())


def _pages(image: Image.Image) -> list[int]:
    """Numbers of the pages that are images of their own."""
    try:
        count = int(getattr(image, "n_frames", 1)) if image.format in _PAGED else 1
        if count == 1:
            return [0]
        if count > MAX_FRAMES:
            raise Image.DecompressionBombError
        if image.format != "TIFF":
            return list(range(count))
        own = [page for page in range(count) if not _subfile(image, page) & _NOT_ITS_OWN]
        image.seek(0)
    except Image.DecompressionBombError:
        raise
    except Exception:  # a broken link to a further page of an image that may be whole
        return [0]
    return own or [0]


def _subfile(image: Image.Image, page: int) -> int:
    image.seek(page)
    return int(getattr(image, "tag_v2", {}).get(_SUBFILE, 0))


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


def to_rgb(image: Image.Image) -> np.ndarray:
    """An upright image of Pillow as uint8 RGB (H, W, 3) in sRGB, as `decode_pages` says.

    Args:
        image: of any mode but `I` and `F`.
    """
    return np.array(_in_srgb(image))


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
    shown = _over_black(image)
    return shown if shown.mode == "RGB" else shown.convert("RGB")


def _over_black(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image.convert("RGBA")).convert("RGB")
