"""DICOM files to arrays: dermoscopy as visible-light images; no message quotes a header, which names the patient."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from selcn.data.imaging.decode import Header, ImageFileError

try:
    from pydicom.pixels.processing import apply_color_lut, apply_rescale, apply_voi_lut
    from pydicom.pixels.utils import pixel_array

    from selcn.data.imaging.dicom_messages import cause
    from selcn.data.imaging.dicom_size import frames_of, read_dicom, refuse_bomb, refuse_large
except ImportError:
    raise ImageFileError("unreadable", "DICOM needs an extra; `pip install selcn[dicom]`") from None

MAX_BLOCK = 2**20
"""Pixels whose levels are computed at once, as float64."""
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
    try:
        dataset = read_dicom(data, path, max_pixels)
        refuse_large(dataset, path, max_pixels)
        if frame is not None and frame >= frames_of(dataset):
            raise ImageFileError("missing", f"{path}: holds {frames_of(dataset)} images, which are counted from 0")
        refuse_bomb(dataset, path)
        return _header(dataset), [_as_rgb(one, dataset) for one in _frames(dataset, frame)]
    except ImageFileError:
        raise
    # Hostile and broken files make decoders raise nearly everything there is.
    except Exception as error:
        what = cause(error)
        raise ImageFileError("unreadable", f"{path}: not a readable DICOM image ({what}); replace the file") from None


def _header(dataset: Any) -> Header:  # noqa: ANN401
    bits = int(dataset.BitsStored)
    colours = int(dataset.SamplesPerPixel) == 3 and bits == 8
    stored = str(dataset.PhotometricInterpretation)
    mode = "RGB" if colours else f"{stored if stored in _PHOTOMETRIC else 'unknown colours'}, {bits} bits"
    return Header("DICOM", mode, (int(dataset.Columns), int(dataset.Rows)))


def _frames(dataset: Any, frame: int | None) -> npt.NDArray[Any]:  # noqa: ANN401
    """(F, H, W) or (F, H, W, 3); colours as RGB."""
    pixels = pixel_array(dataset, index=frame)
    return pixels[None] if frame is not None or frames_of(dataset) == 1 else pixels


def _as_rgb(frame: npt.NDArray[Any], dataset: Any) -> np.ndarray:  # noqa: ANN401
    largest = 2 ** int(dataset.BitsStored) - 1
    if frame.ndim == 3 and frame.dtype == np.uint8 and largest == 255:
        return np.ascontiguousarray(frame)
    rows = max(1, MAX_BLOCK // frame.shape[1])
    blocks = [frame[start : start + rows] for start in range(0, len(frame), rows)]
    if frame.ndim == 3:
        return np.concatenate([_to_bytes(block, 0, largest) for block in blocks])
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        coloured = (apply_color_lut(block, dataset) for block in blocks)
        return np.concatenate([_to_bytes(block, 0, np.iinfo(block.dtype).max) for block in coloured])
    grey = _grey(blocks, dataset)
    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    return cv2.cvtColor(255 - grey if inverted else grey, cv2.COLOR_GRAY2RGB)


def _grey(blocks: list[npt.NDArray[Any]], dataset: Any) -> np.ndarray:  # noqa: ANN401
    """Levels by the window, or stretched over their range."""

    def levels(block: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return apply_voi_lut(apply_rescale(block, dataset), dataset).astype(np.float64)

    if "WindowCenter" in dataset:
        low, high = _window_output(dataset)
    else:
        low = min(float(levels(block).min()) for block in blocks)
        high = max(float(levels(block).max()) for block in blocks)
    return np.concatenate([_to_bytes(levels(block), low, high) for block in blocks])


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
