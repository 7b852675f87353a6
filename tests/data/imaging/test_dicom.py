"""DICOM files made here come back as the pictures that went in."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space
from pydicom.tag import Tag
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from selcn.data.imaging.decode import ImageFileError
from selcn.data.imaging.read import count_frames, decode_frames, read_image

RGB = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
GREY = np.linspace(0, 4095, 24 * 32).reshape(24, 32).astype(np.uint16)

Dataset = Callable[..., FileDataset]


def written(made: FileDataset) -> bytes:
    """As a file holds it."""
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def decoded(made: FileDataset) -> list[np.ndarray]:
    """Its frames."""
    return decode_frames(written(made), Path("made.dcm"))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_colours_come_back_as_they_were(dataset: Dataset, syntax: str) -> None:
    (picture,) = decoded(dataset(RGB, "RGB", syntax))
    np.testing.assert_array_equal(picture, RGB)


def test_ybr_becomes_rgb(dataset: Dataset) -> None:
    (picture,) = decoded(dataset(convert_color_space(RGB, "RGB", "YBR_FULL"), "YBR_FULL"))
    assert np.abs(picture.astype(int) - RGB).max() <= 3


def test_run_length_encoding_is_read(dataset: Dataset) -> None:
    made = dataset(RGB, "RGB")
    made.compress(RLELossless)
    (picture,) = decoded(made)
    np.testing.assert_array_equal(picture, RGB)


@pytest.mark.parametrize(
    ("syntax", "kind", "photometric", "most"),
    [(JPEGBaseline8Bit, "JPEG", "YBR_FULL_422", 12), (JPEG2000Lossless, "JPEG2000", "RGB", 0)],
)
def test_compressed_pictures_are_read(dataset: Dataset, syntax: str, kind: str, photometric: str, most: int) -> None:
    rows, columns = np.mgrid[:24, :32]
    smooth = np.stack([rows * 8, columns * 6, rows * 2 + columns], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(smooth).save(file, kind, **({"quality": 95} if kind == "JPEG" else {"irreversible": False}))
    made = dataset(smooth, photometric, syntax)
    made.PixelData = encapsulate([file.getvalue()])
    made["PixelData"].is_undefined_length = True
    (picture,) = decoded(made)
    assert np.abs(picture.astype(int) - smooth).max() <= most


def test_frames_are_pictures_of_their_own(dataset: Dataset, tmp_path: Path) -> None:
    frames = np.stack([RGB, 255 - RGB, RGB // 2])
    made = dataset(frames, "RGB", NumberOfFrames=3)
    for picture, frame in zip(decoded(made), frames, strict=True):
        np.testing.assert_array_equal(picture, frame)
    (tmp_path / "three.dcm").write_bytes(written(made))
    with pytest.raises(ImageFileError, match="holds 3 frames"):
        read_image(tmp_path / "three.dcm")


def test_grey_levels_are_stretched_over_their_range_or_window(dataset: Dataset) -> None:
    (picture,) = decoded(dataset(GREY, "MONOCHROME2"))
    expected = np.round(GREY / 4095 * 255)
    assert (picture[..., 0] == picture[..., 2]).all()
    assert np.abs(picture[..., 0] - expected).max() <= 1
    (inverted,) = decoded(dataset(GREY, "MONOCHROME1"))
    np.testing.assert_array_equal(inverted, 255 - picture)
    (windowed,) = decoded(dataset(GREY, "MONOCHROME2", WindowCenter=1024, WindowWidth=2048))
    assert np.abs(windowed[..., 0] - np.clip(GREY / 2048 * 255, 0, 255)).max() <= 1


@pytest.mark.parametrize("change", ["cut", "no pixels", "claims", "nonsense"])
def test_broken_and_hostile_files_get_one_line(dataset: Dataset, change: str) -> None:
    made = dataset(RGB, "RGB")
    if change == "no pixels":
        del made.PixelData
    if change == "claims":
        made.Rows, made.Columns, made.NumberOfFrames = 60_000, 60_000, 500
    data = written(made)
    data = data[: len(data) // 2] if change == "cut" else data[:132] + bytes(500) if change == "nonsense" else data
    with pytest.raises(ImageFileError, match=r"^made\.dcm: ") as told:
        decode_frames(data, Path("made.dcm"))
    assert "\n" not in str(told.value)
    assert told.value.kind == ("too-large" if change == "claims" else "unreadable")


@pytest.mark.parametrize("photometric", ["RGB", "MONOCHROME2"])
@pytest.mark.parametrize(
    "keyword",
    ["StudyInstanceUID", "InstanceNumber", "WindowCenter", "RescaleSlope", "NumberOfFrames", "Rows", "Modality"],
)
def test_no_message_quotes_a_header(
    dataset: Dataset, keyword: str, photometric: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    from selcn.data.imaging.dicom_segmentation import read_header, write_segmentation

    made = dataset(RGB if photometric == "RGB" else GREY, photometric, WindowCenter=1024, WindowWidth=2048)
    made.RescaleIntercept, value = 0, b"DOE^JOHN IS ILL "
    tag = Tag(keyword)
    made[tag] = RawDataElement(
        tag, dictionary_VR(tag), len(value), value, 0, is_implicit_VR=False, is_little_endian=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = written(made)
    assert b"DOE" in data
    (path := tmp_path / "made.dcm").write_bytes(data)
    caplog.clear()
    said = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for work in (
            lambda: decode_frames(data, Path("made.dcm")),
            lambda: count_frames(path),
            lambda: write_segmentation(
                np.ones((24, 32), bool), read_header(data, Path("made.dcm")), tmp_path / "s.dcm"
            ),
        ):
            try:
                work()
            except ImageFileError as error:
                said.append(str(error))
    assert "DOE" not in " ".join([*said, *caplog.messages, *(str(one.message) for one in warned)])
    assert not warned
