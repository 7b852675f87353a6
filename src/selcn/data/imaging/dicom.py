"""DICOM files to arrays: dermoscopy as visible-light images; no message quotes a header, which names the patient."""

import io
import logging
import re
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from selcn.data.imaging.decode import MAX_FRAMES, Header, ImageFileError

try:
    import pydicom
    from pydicom.datadict import tag_for_keyword
    from pydicom.pixels.processing import apply_color_lut, apply_rescale, apply_voi_lut
    from pydicom.pixels.utils import pixel_array
except ImportError:
    raise ImageFileError("unreadable", "DICOM needs an extra; `pip install selcn[dicom]`") from None

_PHOTOMETRIC = frozenset(
    {
        "MONOCHROME1",
        "MONOCHROME2",
        "PALETTE COLOR",
        "RGB",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_ICT",
        "YBR_RCT",
    }
)
_QUIET = ("ignore", None, Warning, re.compile(r"pydicom|highdicom|selcn\.data\.imaging\.dicom"), 0)
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)  # it repeats every warning there


def decode_dicom(
    data: bytes, path: Path, max_pixels: int | None = None, frame: int | None = None
) -> tuple[Header, list[np.ndarray]]:
    """Decode every frame as uint8 RGB (H, W, 3): colours as RGB whatever their space, grey levels by window or range.

    Args:
        data: the file's content.
        path: what an error calls it.
        max_pixels: of all frames together, more are refused; None for four times Pillow's limit, which no frame may
            pass.
        frame: number of the one to decode, from 0; None for all.

    Returns:
        The header, and the frames in order.

    Raises:
        ImageFileError: no image, cut off, of a compression that is not read here, or of too many pixels, which is told
            before decoding; or there is no frame of that number.
    """
    silence_headers()
    try:
        dataset = pydicom.dcmread(io.BytesIO(data))
        _refuse_large(dataset, path, max_pixels)
        if frame is not None and frame >= _count(dataset):
            raise ImageFileError("missing", f"{path}: holds {_count(dataset)} images, which are counted from 0")
        return _header(dataset), [_as_rgb(one, dataset) for one in _frames(dataset, frame)]
    except ImageFileError:
        raise
    # Hostile and broken files make decoders raise nearly everything there is.
    except Exception as error:
        what = cause(error)
        raise ImageFileError("unreadable", f"{path}: not a readable DICOM image ({what}); replace the file") from None


def silence_headers() -> None:
    """Keep pydicom and highdicom from warning, since their warnings quote values of the header."""
    # Not `catch_warnings`, which threads share. Looked for first, since a new filter makes others warn again.
    if _QUIET not in warnings.filters:
        warnings.filterwarnings("ignore", module=_QUIET[3].pattern)


def cause(error: Exception) -> str:
    """What is wrong with a header, in words that hold no value of it.

    Args:
        error: of pydicom, highdicom or this module.
    """
    lacking = error.name if isinstance(error, AttributeError) else None
    # As `Rows`; another name may be a value that was looked up.
    return f"it lacks {lacking}" if lacking and tag_for_keyword(lacking) else type(error).__name__


def count_frames(data: bytes) -> int:
    """How many frames a file holds, told from its header alone; 1 of what cannot be read.

    Args:
        data: the file's content.
    """
    silence_headers()
    try:
        return _count(pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=["NumberOfFrames"]))
    except Exception:  # decoding says what is wrong
        return 1


def _count(dataset: Any) -> int:  # noqa: ANN401 - pydicom's attributes are of any type
    return int(dataset.get("NumberOfFrames", 1) or 1)


def _refuse_large(dataset: Any, path: Path, max_pixels: int | None) -> None:  # noqa: ANN401
    frames = _count(dataset)
    pixels = int(dataset.Rows) * int(dataset.Columns)
    limit = Image.MAX_IMAGE_PIXELS or 2**28
    if pixels > limit or frames > MAX_FRAMES or frames * pixels > (max_pixels or 4 * limit):
        raise ImageFileError("too-large", f"{path}: its header claims {frames} frames of {pixels} pixels; shrink it")


def _header(dataset: Any) -> Header:  # noqa: ANN401
    bits = int(dataset.BitsStored)
    colours = int(dataset.SamplesPerPixel) == 3 and bits == 8
    stored = str(dataset.PhotometricInterpretation)
    mode = "RGB" if colours else f"{stored if stored in _PHOTOMETRIC else 'unknown colours'}, {bits} bits"
    return Header("DICOM", mode, (int(dataset.Columns), int(dataset.Rows)))


def _frames(dataset: Any, frame: int | None) -> npt.NDArray[Any]:  # noqa: ANN401
    """(F, H, W) or (F, H, W, 3); colours as RGB."""
    pixels = pixel_array(dataset, index=frame)
    return pixels[None] if frame is not None or _count(dataset) == 1 else pixels


def _as_rgb(frame: npt.NDArray[Any], dataset: Any) -> np.ndarray:  # noqa: ANN401
    if frame.ndim == 3:
        return np.ascontiguousarray(_to_bytes(frame, 0, 2 ** int(dataset.BitsStored) - 1))
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        coloured = apply_color_lut(frame, dataset)
        return _to_bytes(coloured, 0, np.iinfo(coloured.dtype).max)
    levels = apply_voi_lut(apply_rescale(frame, dataset), dataset).astype(np.float64)
    if "WindowCenter" in dataset:
        grey = _to_bytes(levels, *_window_output(dataset))
    else:
        grey = _to_bytes(levels, float(levels.min()), float(levels.max()))
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    return cv2.cvtColor(255 - grey if inverted else grey, cv2.COLOR_GRAY2RGB)


def _window_output(dataset: Any) -> tuple[float, float]:  # noqa: ANN401
    """What pydicom's windowing maps the window's two ends to."""
    bits, signed = int(dataset.BitsStored), int(dataset.PixelRepresentation)
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


def _to_bytes(levels: npt.NDArray[Any], low: float, high: float) -> np.ndarray:
    if levels.dtype == np.uint8 and (low, high) == (0, 255):
        return levels
    scaled = (levels.astype(np.float64) - low) * (255 / max(high - low, 1e-12))
    return scaled.round().clip(0, 255).astype(np.uint8)
