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

from selcn.data.imaging.av1_size import coded_pixels
from selcn.data.imaging.avif_size import avif_pixels
from selcn.data.imaging.decode import ImageFileError
from selcn.data.imaging.dicom_segmentation import read_header
from selcn.data.imaging.dicom_size import count_frames
from selcn.data.imaging.jpeg2000_size import jpeg2000_pixels
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


def avif(side: int) -> bytes:
    """An AVIF whose container claims 16 x 16 pixels."""
    data = bytearray(image_file(side, "AVIF", speed=10))
    place = data.index(b"ispe") + 8
    data[place : place + 8] = struct.pack(">II", 16, 16)
    return bytes(data)


def gif(side: int) -> bytes:
    """A GIF of 16 x 16 pixels whose second of three frames reaches beyond, and is wiped away before the third."""
    made = io.BytesIO()
    frames = [Image.new("L", (16, 16), level) for level in (0, 100, 200)]
    frames[0].save(made, "GIF", save_all=True, append_images=frames[1:], disposal=2)
    data = made.getvalue()
    second = data.index(b",", data.index(b",") + 1)
    return data[: second + 5] + struct.pack("<HH", side, side) + data[second + 9 :]


def jpeg2000(side: int, tile: int, block: int = 4, precinct: int | None = None) -> bytes:
    """A codestream of a square in square tiles, with hardly any data, and powers of two as sizes of its blocks."""
    size = struct.pack(">H8IH", 0, side, side, 0, 0, tile, tile, 0, 0, 3) + b"\7\1\1" * 3
    levels = 0 if precinct is None else 1
    style = struct.pack(">BBHB5B", levels, 0, 1, 0, levels, block - 2, block - 2, 0, 1)
    style += bytes([precinct * 17] * 2) if precinct is not None else b""
    steps = bytes([0x40, *[0x48] * (3 * levels + 1)])
    made = b"\xff\x4f"
    for marker, content in ((0x51, size), (0x52, style), (0x5C, steps), (0x90, struct.pack(">HIBB", 0, 0, 0, 1))):
        made += struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
    return made + b"\xff\x93" + bytes(500) + b"\xff\xd9"


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
    yield "avif", avif(large), "too-large"
    yield "gif", gif(12_000), "too-large"
    yield "jpeg2000-tiles", jpeg2000(100, 1), "too-large"
    yield "jpeg2000-precincts", jpeg2000(60, 60, precinct=1), "[(60, 60, 3)]"
    tiny = {"tiles": jpeg2000(250, 1), "precincts": jpeg2000(2000, 2000, precinct=1), "blocks": jpeg2000(4000, 4000, 2)}
    for kind, data in tiny.items():
        yield f"dicom-{kind}", encapsulated(dataset, data, JPEG2000Lossless), "too-large"
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


def bits(*fields: tuple[int, int]) -> bytes:
    """Values of so many bits each, padded to bytes."""
    text = "".join(f"{value:0{length}b}" for value, length in fields)
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8))


def unit(kind: int, content: bytes) -> bytes:
    """An open bitstream unit of AV1 that states its size."""
    return bytes([kind << 3 | 2, len(content)]) + content


def test_frames_of_av1_count_as_large_as_they_can_be() -> None:
    point = [(0, 1), (0, 1), (0, 5), (0, 12), (9, 5), (0, 1)]  # without timing; one of level 9, low tier
    size = [(9, 4), (15, 4), (639, 10), (479, 16)]
    tools = [(0, 1), (0, 7), (1, 1), (0, 2), (1, 1), (1, 1)]
    film = unit(1, bits((0, 5), *point, *size, *tools))
    still = unit(1, bits((0, 3), (3, 2), (0, 5), *size))
    key = [(0, 1), (0, 2), (1, 1), (0, 1), (1, 1), (0, 1)]  # shown, with screen content tools of its own
    own_size, usual, again = bits(*key, (1, 1)), bits(*key, (0, 1)), bits((1, 1), (0, 3))
    assert coded_pixels(iter([still + unit(6, b"\xff"), unit(3, b"\xff") + unit(4, bytes(9))])) == 2 * 640 * 480
    assert coded_pixels(iter([film + unit(6, usual) + unit(3, again)])) == 640 * 480
    assert coded_pixels(iter([film, unit(6, own_size), unit(2, b"")])) == 1024 * 65_536
    with pytest.raises(ValueError, match="cut off"):
        coded_pixels(iter([unit(1, b"\0")]))
    with pytest.raises(ValueError, match="too many units"):
        coded_pixels(iter([unit(2, b"") * 100_001]))


def test_what_avif_and_jpeg2000_unpack_to_is_counted() -> None:
    file = io.BytesIO()
    noise = [np.random.default_rng(seed).integers(0, 256, (90, 130, 4), dtype=np.uint8) for seed in range(3)]
    Image.fromarray(noise[0]).save(file, "AVIF")
    assert avif_pixels(file.getvalue()) == 2 * 130 * 90  # colours and transparency
    film = io.BytesIO()
    frames = [Image.fromarray(one[..., :3]) for one in noise]
    frames[0].save(film, "AVIF", save_all=True, append_images=frames[1:])
    assert avif_pixels(film.getvalue()) >= 4 * 130 * 90  # the first both as an image and in the film
    assert len(decode_frames(film.getvalue(), HERE)) == 3
    with pytest.raises(ImageFileError, match="not a readable image"):
        decode_frames(film.getvalue().replace(b"stsz", b"free"), HERE)
    # Four tiles of 64 x 64 pixels: in each one precinct and 4 x 4 blocks of 16 x 16 for each of three components.
    assert jpeg2000_pixels(jpeg2000(100, 64)[:-2]) == 100 * 100 + 4 * (1024 + 3 * (64 + 16 * 32))
    with pytest.raises(ValueError, match="unknown marker"):
        jpeg2000_pixels(jpeg2000(100, 64).replace(b"\xff\x5c", b"\xff\x30"))


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
