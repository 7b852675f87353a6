"""Small files that would unpack to gigabytes: none takes more memory than its limits allow; honest ones are read."""

import gzip
import io
import math
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import jpeg_ls  # type: ignore[import-untyped]
import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from selcn.data.imaging.decode import ImageFileError
from selcn.data.imaging.dicom_segmentation import read_header
from selcn.data.imaging.dicom_size import count_frames
from selcn.data.imaging.read import claimed_pixels, decode_frames

Dataset = Callable[..., FileDataset]
HERE = Path("bomb")
MIB = 2**20
MAX_PIXELS = 10_000
MAX_GROWTH = 30
"""MiB; each of the files unpacks to 100 or more."""
SMALL = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
# A process of its own, since a peak never falls again; VmHWM, since ru_maxrss is inherited by a new process.
PROGRAM = """
import sys
from pathlib import Path

import selcn.data.imaging.dicom
from selcn.data.imaging.decode import ImageFileError
from selcn.data.imaging.read import decode_frames


def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


for name in sys.argv[2:]:
    data, before = Path(name).read_bytes(), peak()
    try:
        said = str([frame.shape for frame in decode_frames(data, Path("bomb"), int(sys.argv[1]))])
    except ImageFileError as error:
        said = f"{error.kind} {error}"
    print(Path(name).name, round(peak() - before), said, sep="|")
"""


def zeros(mib: int, *, wbits: int = zlib.MAX_WBITS, before: bytes = b"") -> bytes:
    """Many, deflated."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return deflate.compress(before) + b"".join(deflate.compress(bytes(MIB)) for _ in range(mib)) + deflate.flush()


def png(side: int = 16, extra: bytes = b"", pixels: bytes = b"") -> bytes:
    """A PNG that claims a square."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    more = chunk(extra[:4], extra[4:]) if extra else b""
    return b"\x89PNG\r\n\x1a\n" + head + more + chunk(b"IDAT", pixels or zeros(1)) + chunk(b"IEND", b"")


def tiff(tile: int) -> bytes:
    """A TIFF of 16 x 16 pixels in one deflated tile of any size."""
    data = zeros(math.ceil(tile * tile * 3 / MIB))
    data += bytes(-len(data) % 2)
    depths = 8 + len(data)
    integers = {256: 16, 257: 16, 322: tile, 323: tile, 324: 8, 325: len(data)}
    shorts = {259: 8, 262: 2, 277: 3, 284: 1}
    entries = [(tag, 4, 1, value) for tag, value in integers.items()]
    entries += [(tag, 3, 1, value) for tag, value in shorts.items()] + [(258, 3, 3, depths)]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    start = struct.pack("<2sHI", b"II", 42, depths + 6)
    return start + data + struct.pack("<3H", 8, 8, 8) + struct.pack("<H", len(entries)) + directory + bytes(4)


def tiff_pages(further: bytes) -> bytes:
    """An honest page, then a page of another file."""
    first = image_file(16, "TIFF")
    first += bytes(-len(first) % 2)
    (start,) = struct.unpack("<I", further[4:8])
    link = struct.unpack("<I", first[4:8])[0]
    link += 2 + 12 * struct.unpack("<H", first[link : link + 2])[0]
    # Offsets of the further file move by the length of the first: strips or tiles, and values that fill no entry.
    moved, place = bytearray(further), start + 2
    for entry in range(place, place + 12 * struct.unpack("<H", further[start:place])[0], 12):
        tag, _, count, value = struct.unpack("<HHII", further[entry : entry + 12])
        if tag in (258, 324) and (tag == 324 or count > 2):
            moved[entry + 8 : entry + 12] = struct.pack("<I", value + len(first))
    return first[:link] + struct.pack("<I", start + len(first)) + first[link + 4 :] + bytes(moved)


def fits() -> bytes:
    """A FITS image of 16 x 16 pixels, compressed by gzip."""

    def header(*cards: str) -> bytes:
        return b"".join(card.ljust(80).encode() for card in (*cards, "END")).ljust(2880)

    data = gzip.compress(bytes(100 * MIB))
    shape = {"BITPIX": 8, "NAXIS": 2, "NAXIS1": 8, "NAXIS2": 1, "PCOUNT": len(data), "GCOUNT": 1, "TFIELDS": 1}
    packed = {"ZBITPIX": 8, "ZNAXIS": 2, "ZNAXIS1": 16, "ZNAXIS2": 16}
    table = header(
        "XTENSION= 'BINTABLE'",
        *(f"{name:8}= {value:20}" for name, value in (shape | packed).items()),
        f"{'ZIMAGE':8}= {'T':>20}",
        "ZCMPTYPE= 'GZIP_1  '",
    )
    primary = header(*(f"{name:8}= {value:>20}" for name, value in {"SIMPLE": "T", "BITPIX": 8, "NAXIS": 0}.items()))
    return primary + table + struct.pack(">II", len(data), 0) + data


def written(made: FileDataset) -> bytes:
    """As a file holds it."""
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def encapsulated(dataset: Dataset, frame: bytes, syntax: str, photometric: str = "RGB") -> bytes:
    """A DICOM file that claims 16 x 16 pixels."""
    made = dataset(SMALL, photometric, syntax)
    made.PixelData = encapsulate([frame])
    made["PixelData"].is_undefined_length = True
    return written(made)


def deflated(dataset: Dataset, pixels: np.ndarray = SMALL, more: int = 0, photometric: str = "RGB") -> bytes:
    """A deflated DICOM file with some MiB more behind its pixels."""
    plain = written(dataset(pixels, photometric, DeflatedExplicitVRLittleEndian))
    start = 144 + int.from_bytes(plain[140:144], "little")
    body = zlib.decompress(plain[start:], -zlib.MAX_WBITS)
    padding = struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, more * MIB) if more else b""
    return plain[:start] + zeros(more, wbits=-zlib.MAX_WBITS, before=body + padding)


def image_file(side: int, kind: str, **options: object) -> bytes:
    """A black square."""
    file = io.BytesIO()
    Image.new("RGB", (side, side)).save(file, kind, **options)
    return file.getvalue()


def run_lengths(mib: int) -> bytes:
    """Three segments of zeros, 64 times as many as bytes."""
    segment = b"\x81\0" * (mib * MIB // 128)
    starts = [64 + number * len(segment) for number in range(3)]
    return struct.pack("<16I", 3, *starts, *[0] * 12) + 3 * segment


def bombs(dataset: Dataset) -> Iterator[tuple[str, bytes, str]]:
    """Name, content, and what is told of each."""
    large = 6_000
    huge_png = png(large, pixels=zeros(math.ceil(large * (3 * large + 1) / MIB)))
    icon = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(huge_png), 22)
    yield "png", png(pixels=zeros(100)), "[(16, 16, 3)]"
    yield "png-claims", huge_png, "too-large"
    yield "ztxt", png(extra=b"zTXtk\0\0" + zeros(100)), "unreadable"
    yield "itxt", png(extra=b"iTXtk\0\1\0\0\0" + zeros(100)), "unreadable"
    yield "iccp", png(extra=b"iCCPk\0\0" + zeros(100)), "unreadable"
    yield "tiff", tiff(large), "too-large"
    yield "tiff-page", tiff_pages(tiff(large)), "too-large"
    yield "fits", fits(), "[(16, 16, 3)]"
    yield "ico", icon + huge_png, "too-large"  # by another format that it could be
    yield "deflate", deflated(dataset, more=100), "too-large"
    yield "deflate-claims", deflated(dataset, np.zeros((large, large, 3), np.uint8)), "too-large"
    yield "rle", encapsulated(dataset, run_lengths(35), RLELossless), "too-large"
    yield "jpeg", encapsulated(dataset, image_file(large, "JPEG"), JPEGBaseline8Bit, "YBR_FULL_422"), "too-large"
    yield "jpeg2000", encapsulated(dataset, image_file(6_000, "JPEG2000", no_jp2=True), JPEG2000Lossless), "too-large"
    coded = jpeg_ls.encode(np.zeros((large, large, 3), np.uint8)).tobytes()
    yield "jpeg-ls", encapsulated(dataset, coded, JPEGLSLossless), "too-large"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_no_format_unpacks_beyond_its_limits(dataset: Dataset, tmp_path: Path) -> None:
    expected = {}
    for name, data, told in bombs(dataset):
        assert len(data) < 10 * MIB
        (tmp_path / name).write_bytes(data)
        expected[name] = told
    asked = [sys.executable, "-c", PROGRAM, str(MAX_PIXELS), *(str(tmp_path / name) for name in expected)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    lines = [line.split("|") for line in done.stdout.splitlines()]
    assert [(name, told.split(" bomb:")[0]) for name, _, told in lines] == list(expected.items())
    assert {name: growth for name, growth, _ in lines if int(growth) > MAX_GROWTH} == {}


def test_large_grey_levels_are_computed_in_blocks(dataset: Dataset, tmp_path: Path) -> None:
    levels = np.zeros((2000, 2000), np.uint16)
    levels[0, 0] = 4095
    (tmp_path / "grey").write_bytes(deflated(dataset, levels, photometric="MONOCHROME2"))
    asked = [sys.executable, "-c", PROGRAM, str(levels.size), str(tmp_path / "grey")]
    _, growth, told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip().split("|")
    assert told == "[(2000, 2000, 3)]"
    assert int(growth) < 16 * levels.size / MIB  # float64 levels and their copies took 40 bytes a pixel


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless, DeflatedExplicitVRLittleEndian])
def test_honest_files_are_read(dataset: Dataset, syntax: str) -> None:
    made = dataset(np.stack([SMALL, SMALL[::-1]]), "RGB", NumberOfFrames=2)
    if syntax == DeflatedExplicitVRLittleEndian:
        made = dataset(np.stack([SMALL, SMALL[::-1]]), "RGB", syntax, NumberOfFrames=2)
    else:
        made.compress(syntax)
    data = written(made)
    np.testing.assert_array_equal(decode_frames(data, HERE, 512), [SMALL, SMALL[::-1]])
    assert read_header(data, HERE).NumberOfFrames == 2


def test_of_a_deflated_file_the_header_alone_is_read(dataset: Dataset) -> None:
    data = deflated(dataset, more=20)
    assert read_header(data, HERE).Rows == 16
    assert (claimed_pixels(data), count_frames(data)) == (256, 1)
    with pytest.raises(ImageFileError, match=r"^bomb: unpacks to more than its header claims"):
        decode_frames(data, HERE)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_pixels_are_told_before_they_are_decoded(dataset: Dataset) -> None:
    assert claimed_pixels(png(300)) == 90_000
    assert claimed_pixels(written(dataset(np.stack([SMALL] * 3), "RGB", NumberOfFrames=3))) == 768
    pages = [Image.new("RGB", (20, 10)), Image.new("RGB", (7, 5))]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    assert claimed_pixels(file.getvalue()) == 235
    assert claimed_pixels(tiff_pages(tiff(32))) == 256 + 1024
    file = io.BytesIO()
    pages[0].save(file, "GIF", save_all=True, append_images=[Image.new("RGB", (20, 10), "red")])
    assert claimed_pixels(file.getvalue()) == 400
    assert claimed_pixels(png(10_000)[:-1000]) == 100_000_000  # most of whose pixels are not there
    assert claimed_pixels(b"no image") == claimed_pixels(bytes(128) + b"DICM" + bytes(500)) == 0
