"""What a DICOM file unpacks to, compared with what its header claims before any of it is unpacked."""

import io
import math
import zlib
from pathlib import Path
from typing import Any

import pydicom
from PIL import Image
from pydicom.encaps import generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

from selcn.data.imaging.decode import MAX_FRAMES, ImageFileError
from selcn.data.imaging.dicom_messages import silence_headers
from selcn.data.imaging.unpacked_size import is_bomb

MAX_HEADER = 4 * 2**20
"""Bytes of everything but the pixels, in a file whose header is compressed."""
MAX_RLE_EXCESS = 2
"""Bytes of run-length encoded pixels as a multiple of those claimed; encoders pad."""
_PREAMBLE = 132
_SAMPLES, _BITS = (1, 3, 4), (1, 8, 16, 32, 64)
_JPEG_START, _FILL = b"\xff\xd8", 0xFFFF
_FRAME_HEADERS = frozenset({*range(0xFFC0, 0xFFD0), 0xFFF7} - {0xFFC4, 0xFFC8, 0xFFCC})


def read_dicom(data: bytes, path: Path, max_pixels: int | None = None, *, pixels: bool = True) -> Any:  # noqa: ANN401 - pydicom's attributes are of any type
    """The dataset of a file, of which nothing is unpacked before its size is known; see `refuse_bomb` for its frames.

    Args:
        data: the file's content.
        path: what an error calls it.
        max_pixels: see `refuse_large`.
        pixels: whether the dataset holds the pixels too.

    Raises:
        ImageFileError: it is compressed as a whole, and unpacks to more than its header claims or `max_pixels` allows.
    """
    silence_headers()
    return pydicom.dcmread(io.BytesIO(_inflated(data, path, max_pixels, pixels=pixels)), stop_before_pixels=not pixels)


def frames_of(dataset: Any) -> int:  # noqa: ANN401
    """How many frames a header claims.

    Args:
        dataset: of a file.
    """
    return int(dataset.get("NumberOfFrames", 1) or 1)


def count_frames(data: bytes) -> int:
    """How many frames a file holds, told from its header alone; 1 of what cannot be read.

    Args:
        data: the file's content.
    """
    try:
        return frames_of(read_dicom(data, Path("file"), pixels=False))
    except Exception:  # decoding says what is wrong
        return 1


def claimed_pixels(data: bytes) -> int:
    """Pixels that a header claims in all frames; 0 of what cannot be read.

    Args:
        data: the file's content.
    """
    try:
        dataset = read_dicom(data, Path("file"), pixels=False)
        return frames_of(dataset) * int(dataset.Rows) * int(dataset.Columns)
    except Exception:  # decoding says what is wrong
        return 0


def refuse_large(dataset: Any, path: Path, max_pixels: int | None) -> None:  # noqa: ANN401
    """Check the size that a header claims.

    Args:
        dataset: of a file.
        path: what an error calls it.
        max_pixels: of all frames together; None for four times Pillow's limit, which no frame may pass.

    Raises:
        ImageFileError: it claims more.
    """
    frames, pixels = frames_of(dataset), int(dataset.Rows) * int(dataset.Columns)
    limit = Image.MAX_IMAGE_PIXELS or 2**28
    if pixels > limit or frames > MAX_FRAMES or frames * pixels > (max_pixels or 4 * limit):
        raise ImageFileError("too-large", f"{path}: its header claims {frames} frames of {pixels} pixels; shrink it")


def refuse_bomb(dataset: Any, path: Path) -> None:  # noqa: ANN401
    """Check that no compressed frame unpacks to more than the header claims.

    Args:
        dataset: of a file, with its pixels.
        path: what an error calls it.

    Raises:
        ImageFileError: one does.
        ValueError: a frame is of no format that is read here.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return
    claimed = _frame_samples(dataset)
    for frame in generate_frames(dataset.PixelData, number_of_frames=frames_of(dataset)):
        if syntax == RLELossless:
            bomb = _is_rle_bomb(frame, claimed * int(dataset.BitsAllocated) // 8)
        else:
            bomb = _codestream_samples(frame) > claimed or is_bomb(frame, _codestream_format(frame), claimed)
        if bomb:
            raise _bomb(path)


def _inflated(data: bytes, path: Path, max_pixels: int | None, *, pixels: bool) -> bytes:
    """The same file, its dataset not deflated (PS3.5, A.5); of one that is deflated perhaps the header alone."""
    stream = io.BytesIO(data)
    stream.seek(_PREAMBLE)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag.group != 2)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return data
    plain = DicomBytesIO()
    meta = pydicom.dataset.FileMetaDataset(meta)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    write_file_meta_info(plain, meta, enforce_standard=False)
    start = data[:_PREAMBLE] + plain.getvalue()
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    head = inflate.decompress(stream.read(), MAX_HEADER)
    if not pixels:
        return start + head
    header = pydicom.dcmread(io.BytesIO(start + head), stop_before_pixels=True)
    refuse_large(header, path, max_pixels)
    claimed = frames_of(header) * _frame_samples(header) * int(header.BitsAllocated) // 8
    rest = inflate.decompress(inflate.unconsumed_tail, claimed + MAX_HEADER)
    if not inflate.eof and inflate.unconsumed_tail:
        raise _bomb(path)
    return b"".join([start, head, rest])


def _bomb(path: Path) -> ImageFileError:
    return ImageFileError("too-large", f"{path}: unpacks to more than its header claims; replace the file")


def _frame_samples(dataset: Any) -> int:  # noqa: ANN401
    samples, bits = int(dataset.SamplesPerPixel), int(dataset.BitsAllocated)
    if samples not in _SAMPLES or bits not in _BITS:
        raise ValueError(f"{samples} samples of {bits} bits a pixel")
    return int(dataset.Rows) * int(dataset.Columns) * samples


def _codestream_samples(frame: bytes) -> int:
    """Values of a frame by its own header: JPEG of any kind, JPEG-LS, JPEG 2000."""
    if _codestream_format(frame) == "JPEG":
        return _jpeg_samples(frame)
    with Image.open(io.BytesIO(frame), formats=("JPEG2000",)) as image:
        return math.prod(image.size) * len(image.getbands())


def _codestream_format(frame: bytes) -> str:
    return "JPEG" if frame[:2] == _JPEG_START else "JPEG2000"


def _jpeg_samples(frame: bytes) -> int:
    """Height x width x components of JPEG (ITU T.81, B.2.2) and JPEG-LS (T.87, C.2.2), whose frame headers agree."""
    place = len(_JPEG_START)
    while place + 10 <= len(frame):
        marker, length = (int.from_bytes(frame[at : at + 2]) for at in (place, place + 2))
        if marker in _FRAME_HEADERS:
            height, width = (int.from_bytes(frame[at : at + 2]) for at in (place + 5, place + 7))
            if height and width:
                return height * width * frame[place + 9]
            break
        place += 1 if marker == _FILL else 2 + length
    raise ValueError("JPEG without a size in its frame header")


def _is_rle_bomb(frame: bytes, claimed: int) -> bool:
    """Whether run-length encoded segments (PS3.5, G.3) unpack to far more bytes than claimed."""
    count, *starts = (int.from_bytes(frame[at : at + 4], "little") for at in range(0, 64, 4))
    ends, total = [*starts[1:count], len(frame)], 0
    for place, end in zip(starts[:count], ends, strict=False):
        while place < min(end, len(frame)):
            head = frame[place]
            total += min(head + 1, end - place - 1) if head < 128 else 257 - head if head > 128 else 0
            place += 2 + head if head < 128 else 2 if head > 128 else 1
            if total > MAX_RLE_EXCESS * claimed:
                return True
    return False
