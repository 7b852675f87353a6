"""Real files with every fault there is, made by the test and found by their kind."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileDataset

from selcn.data.audit.inspection import inspect

SIZE = (80, 60)


def photograph(width: int = 80, height: int = 60) -> Image.Image:
    noise = np.random.default_rng(0).integers(60, 200, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def huge() -> bytes:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 3
    return encoded(photograph(), "JPEG", exif=exif)


FAULTY: dict[str, tuple[str, Callable[[], bytes]]] = {
    "unreadable": ("a.png", lambda: b"no picture"),
    "truncated": ("a.jpg", lambda: encoded(photograph(), "JPEG")[:-300]),
    "too-large": ("a.png", huge),
    "tiny": ("a.png", lambda: encoded(photograph(40, 31))),
    "odd-aspect": ("a.png", lambda: encoded(photograph(161, 40))),
    "wrong-extension": ("a.png", lambda: encoded(photograph(), "JPEG")),
    "not-rgb": ("a.png", lambda: encoded(photograph().convert("L"))),
    "exif-turned": ("a.jpg", turned),
    "blank": ("a.png", lambda: encoded(Image.new("RGB", SIZE))),
}


def kinds(folder: Path, image: str, mask: np.ndarray | bytes | None = None) -> list[str]:
    mask_path = ""
    if mask is not None:
        (folder / "mask.png").write_bytes(mask if isinstance(mask, bytes) else encoded(Image.fromarray(mask)))
        mask_path = str(folder / "mask.png")
    return [kind for kind, _ in inspect(str(folder / image), mask_path).faults]


@pytest.mark.parametrize("kind", FAULTY)
def test_each_fault_of_a_picture_is_found_alone(tmp_path: Path, kind: str) -> None:
    name, make = FAULTY[kind]
    (tmp_path / name).write_bytes(make())
    found = [fault for fault in kinds(tmp_path, name) if fault != "no-mask"]
    assert found == [kind]


def test_a_sound_picture_has_no_fault_and_a_missing_one_is_missing(tmp_path: Path) -> None:
    (tmp_path / "ä b.JPEG").write_bytes(encoded(photograph(), "JPEG"))
    assert kinds(tmp_path, "ä b.JPEG") == ["no-mask"]
    assert kinds(tmp_path, "gone.png") == ["missing"]
    inspected = inspect(str(tmp_path / "ä b.JPEG"), "")
    assert inspected.print is not None


@pytest.mark.parametrize(
    ("name", "frames", "kinds_found"),
    [("a.dcm", 1, []), ("a.DICOM", 1, []), ("a.png", 1, ["wrong-extension"]), ("a.dcm", 3, ["several-frames"])],
)
def test_dicom_is_inspected_like_any_other_image(
    tmp_path: Path, dataset: Callable[..., FileDataset], name: str, frames: int, kinds_found: list[str]
) -> None:
    pixels = np.asarray(photograph())
    made = dataset(pixels if frames == 1 else np.stack([pixels] * frames), "RGB")
    if frames > 1:
        made.NumberOfFrames = frames
    made.save_as(tmp_path / name, enforce_file_format=True)
    assert kinds(tmp_path, name) == [*kinds_found, "no-mask"]


def lesion(width: int = 80, height: int = 60) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    inside = np.hypot((rows - height / 2) / height, (columns - width / 2) / width) < 0.3
    return np.asarray(inside * 255, np.uint8)


@pytest.mark.parametrize(
    ("mask", "found"),
    [
        (lesion(), []),
        (lesion(160, 120), ["mask-scale"]),
        (lesion(60, 60), ["mask-shape"]),
        (lesion(60, 80), ["mask-shape"]),
        (lesion() * 0, ["mask-empty"]),
        (lesion() * 0 + 255, ["mask-full"]),
        (255 - lesion(), ["mask-inverted"]),
        (lesion() // 3, ["mask-unreadable"]),
        (b"no mask", ["mask-unreadable"]),
    ],
)
def test_each_fault_of_a_mask_is_found_alone(tmp_path: Path, mask: np.ndarray | bytes, found: list[str]) -> None:
    (tmp_path / "a.png").write_bytes(encoded(photograph()))
    assert kinds(tmp_path, "a.png", mask) == found


def test_a_true_mask_that_touches_every_border_is_not_taken_for_an_inverted_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(photograph()))
    wide = np.full((60, 80), 255, np.uint8)
    wide[:12, :16] = wide[-12:, -16:] = 0
    assert kinds(tmp_path, "a.png", wide) == []


def test_a_mask_that_is_not_there_is_a_fault_of_the_mask(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(photograph()))
    assert inspect(str(tmp_path / "a.png"), str(tmp_path / "gone.png")).faults[0][0] == "mask-unreadable"
