"""Images inside files: pages, frames, HDF5; names that are not UTF-8; formats beyond JPEG and PNG."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pillow_heif
import pytest
from PIL import Image
from pydicom.dataset import FileDataset

from selcn.data.discovery import find_images
from selcn.data.imaging.address import locate, printable
from selcn.data.imaging.decode import ImageFileError
from selcn.data.imaging.read import count_frames, read_bytes, read_file, read_image, read_mask


def pages(count: int, size: tuple[int, int] = (12, 8)) -> list[Image.Image]:
    return [Image.new("RGB", size, (10 * (number + 1), 0, 0)) for number in range(count)]


def save(path: Path, images: list[Image.Image], **options: Any) -> Path:
    images[0].save(path, save_all=True, append_images=images[1:], **options)
    return path


@pytest.mark.parametrize(("suffix", "options"), [("tif", {}), ("webp", {"lossless": True}), ("gif", {})])
def test_every_page_is_an_image_with_an_address(tmp_path: Path, suffix: str, options: dict[str, object]) -> None:
    path = save(tmp_path / f"a.{suffix}", pages(3), **options)
    assert count_frames(path) == 3
    assert [int(frame[0, 0, 0]) for frame in read_file(path).frames] == [10, 20, 30]
    assert [int(read_image(Path(f"{path}#{number}"))[0, 0, 0]) for number in range(3)] == [10, 20, 30]
    with pytest.raises(ImageFileError, match=r"holds 3 frames; name one as a\.") as caught:
        read_image(path)
    assert caught.value.kind == "several-frames"
    with pytest.raises(ImageFileError, match="holds 3 images, which are counted from 0"):
        read_image(Path(f"{path}#3"))
    assert read_file(Path(f"{path}#1")).data != read_file(Path(f"{path}#2")).data, "copies are told by content"


def test_thumbnails_of_a_page_and_second_views_are_no_images_of_their_own(tmp_path: Path) -> None:
    full, small = pages(1)[0], pages(2, (6, 4))[1]
    small.encoderinfo = {}
    file = io.BytesIO()
    full.save(file, "TIFF", save_all=True, append_images=[small])
    tagged = Image.open(file)
    tagged.seek(1)
    again = tagged.copy()
    again.encoderinfo = {"tiffinfo": {254: 1}}
    full.save(tmp_path / "a.tif", save_all=True, append_images=[again])
    assert count_frames(tmp_path / "a.tif") == 1
    save(tmp_path / "a.mpo", pages(2))
    assert count_frames(tmp_path / "a.mpo") == 1
    assert read_image(tmp_path / "a.mpo").shape == (8, 12, 3)


def test_a_frame_of_dicom_and_a_page_of_a_mask(tmp_path: Path, dataset: Callable[..., FileDataset]) -> None:
    pixels = np.stack([np.full((8, 12, 3), 10 * number, np.uint8) for number in range(3)])
    dataset(pixels, "RGB", NumberOfFrames=3).save_as(tmp_path / "IM1", enforce_file_format=True)
    assert count_frames(tmp_path / "IM1") == 3
    assert (read_image(tmp_path / "IM1#2") == 20).all()
    masks = [
        Image.fromarray(np.arange(96, dtype=np.uint8).reshape(8, 12) // 96 + (np.eye(8, 12) * number))
        for number in (0, 255)
    ]
    save(tmp_path / "m.tif", [mask.convert("L") for mask in masks])
    assert [read_mask(tmp_path / f"m.tif#{number}").sum() for number in range(2)] == [0, 8]


def test_a_file_of_that_very_name_goes_first_and_what_is_not_there_is_missing(tmp_path: Path) -> None:
    pages(1)[0].save(tmp_path / "a.png")
    pages(2)[1].save(tmp_path / "a.png#0", "PNG")
    assert read_image(tmp_path / "a.png#0")[0, 0, 0] == 20
    for name in ("a.png#x", "b.png#0", "n" * 300 + ".png", "a\0.png"):
        with pytest.raises(ImageFileError) as caught:
            read_bytes(tmp_path / name)
        assert caught.value.kind == "missing"


def test_images_of_hdf5_by_id(tmp_path: Path) -> None:
    encoded = io.BytesIO()
    pages(1)[0].save(encoded, "PNG")
    with h5py.File(tmp_path / "train-image.hdf5", "w") as file:
        file["ISIC_0000001"] = np.void(encoded.getvalue())
        file["ISIC_0000002"] = np.frombuffer(encoded.getvalue(), np.uint8)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["layer"] = np.zeros((2, 2))
    found = find_images(tmp_path)
    assert [path.name for path in found] == ["train-image.hdf5#ISIC_0000001", "train-image.hdf5#ISIC_0000002"]
    assert all(read_image(path)[0, 0, 0] == 10 for path in found)
    with pytest.raises(ImageFileError, match="holds no image 'ISIC_9'"):
        read_image(tmp_path / "train-image.hdf5#ISIC_9")


def test_without_an_extra_its_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.hdf5").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImageFileError, match=r"HDF5 needs an extra .*pip install 'selcn\[hdf5\]'"):
        read_bytes(tmp_path / "a.hdf5#k")
    monkeypatch.setattr(Image, "OPEN", {key: value for key, value in Image.OPEN.items() if key != "HEIF"})
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(ImageFileError, match=r"HEIC needs an extra .*pip install 'selcn\[heic\]'"):
        read_image(tmp_path / "a.heic")


@pytest.mark.parametrize("name", ["a.jfif", "a.gif", "a.avif", "a.jp2", "a.mpo", "a.heic"])
def test_other_formats_are_found_and_read(tmp_path: Path, name: str) -> None:
    image = Image.new("RGB", (64, 48), (200, 100, 50))
    if name == "a.heic":
        pillow_heif.from_pillow(image).save(tmp_path / name, quality=90)
    else:
        image.save(tmp_path / name)
    (path,) = find_images(tmp_path)
    assert np.abs(read_image(path).astype(int) - (200, 100, 50)).max() <= 4


def test_a_name_that_is_not_utf_8_is_found_again(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/b\xe4d.png"
    try:
        pages(1)[0].save(tmp_path / "x.png")
        os.rename(tmp_path / "x.png", raw)  # noqa: PTH104 - of bytes
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    name = printable(os.fsdecode(raw))
    assert name == f"{tmp_path}/b\\xe4d.png"
    assert os.fsencode(locate(Path(name)).file) == raw
    assert read_image(Path(name))[0, 0, 0] == 10
    (tmp_path / "ä.png").write_bytes(b"")
    assert printable(tmp_path / "ä.png") == str(tmp_path / "ä.png")
