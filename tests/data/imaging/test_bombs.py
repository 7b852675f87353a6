"""Small files that would unpack to gigabytes: none takes more memory than its limits allow; honest ones are read."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bombs import MIB, SMALL, bombs, deflated, jpeg2000, photograph, png, tiff, tiff_pages, written
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
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

HERE = Path("bomb")
MAX_PIXELS = 10_000
MAX_GROWTH = 30
"""MiB; each of the files unpacks to 100 or more."""
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


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_no_format_unpacks_beyond_its_limits(tmp_path: Path) -> None:
    expected = {}
    for name, data, told in bombs():
        assert len(data) < 10 * MIB
        (tmp_path / name).write_bytes(data)
        expected[name] = told
    asked = [sys.executable, "-c", PROGRAM, str(MAX_PIXELS), *(str(tmp_path / name) for name in expected)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    lines = [line.split("|") for line in done.stdout.splitlines()]
    assert [(name, told.split(" bomb:")[0]) for name, _, told in lines] == list(expected.items())
    assert {name: growth for name, growth, _ in lines if int(growth) > MAX_GROWTH} == {}


def test_large_grey_levels_are_computed_in_blocks(tmp_path: Path) -> None:
    levels = np.zeros((2000, 2000), np.uint16)
    levels[0, 0] = 4095
    (tmp_path / "grey").write_bytes(deflated(levels, photometric="MONOCHROME2"))
    asked = [sys.executable, "-c", PROGRAM, str(levels.size), str(tmp_path / "grey")]
    _, growth, told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip().split("|")
    assert told == "[(2000, 2000, 3)]"
    assert int(growth) < 16 * levels.size / MIB  # float64 levels and their copies took 40 bytes a pixel


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless, DeflatedExplicitVRLittleEndian])
def test_honest_files_are_read(syntax: str) -> None:
    made = photograph(np.stack([SMALL, SMALL[::-1]]), "RGB", NumberOfFrames=2)
    if syntax == DeflatedExplicitVRLittleEndian:
        made = photograph(np.stack([SMALL, SMALL[::-1]]), "RGB", syntax, NumberOfFrames=2)
    else:
        made.compress(syntax)
    data = written(made)
    np.testing.assert_array_equal(decode_frames(data, HERE, 512), [SMALL, SMALL[::-1]])
    assert read_header(data, HERE).NumberOfFrames == 2


def test_of_a_deflated_file_the_header_alone_is_read() -> None:
    data = deflated(more=20)
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
def test_pixels_are_told_before_they_are_decoded() -> None:
    assert claimed_pixels(png(300)) == 90_000
    assert claimed_pixels(written(photograph(np.stack([SMALL] * 3), "RGB", NumberOfFrames=3))) == 768
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
