"""A mask written as DICOM Segmentation comes back from pydicom and highdicom as it was, and names its image."""

import io
from collections.abc import Callable
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset

from selcn.data.imaging.decode import ImageFileError
from selcn.data.imaging.dicom_segmentation import read_header, write_segmentation

MASK = np.zeros((24, 32), bool)
MASK[5:15, 8:20] = True


@pytest.fixture
def photograph(dataset: Callable[..., FileDataset]) -> FileDataset:
    """A DICOM image."""
    return dataset(np.full((*MASK.shape, 3), 99, np.uint8), "RGB")


def written(made: FileDataset) -> bytes:
    """As a file holds it."""
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.mark.parametrize("mask", [MASK, np.zeros_like(MASK), np.ones_like(MASK)])
@pytest.mark.parametrize("frame", [None, 0, 3])
def test_a_mask_round_trips(photograph: FileDataset, mask: np.ndarray, frame: int | None, tmp_path: Path) -> None:
    header = read_header(written(photograph), Path("made.dcm"))
    write_segmentation(mask, header, tmp_path / "one.dcm", frame=frame, source="a bundle")
    assert (pydicom.dcmread(tmp_path / "one.dcm").pixel_array.astype(bool) == mask).all()
    read = highdicom.seg.segread(tmp_path / "one.dcm")
    assert read.get_segment_description(1).segment_label == "lesion"
    source = read.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert source.get("ReferencedFrameNumber") == (None if frame is None else frame + 1)
    assert read.StudyInstanceUID == header.StudyInstanceUID
    assert read.SeriesInstanceUID != header.SeriesInstanceUID


def test_the_same_mask_has_the_same_identifiers_and_another_bundle_s_has_not(
    photograph: FileDataset, tmp_path: Path
) -> None:
    header = read_header(written(photograph), Path("made.dcm"))
    for name, source in (("one", "a"), ("again", "a"), ("other", "b")):
        write_segmentation(MASK, header, tmp_path / name, source=source)
    one, again, other = (pydicom.dcmread(tmp_path / name) for name in ("one", "again", "other"))
    assert one.SOPInstanceUID == again.SOPInstanceUID
    assert one.SeriesInstanceUID == again.SeriesInstanceUID
    assert one.SOPInstanceUID != other.SOPInstanceUID


def test_an_image_that_cannot_be_named_is_told(photograph: FileDataset) -> None:
    del photograph.StudyInstanceUID
    with pytest.raises(ImageFileError, match=r"made\.dcm: lacks StudyInstanceUID"):
        read_header(written(photograph), Path("made.dcm"))


def test_headers_that_no_segmentation_can_hold_are_told(photograph: FileDataset, tmp_path: Path) -> None:
    photograph.PatientBirthDate = "19700101"
    birth = b"\x10\x00\x30\x00"
    data = written(photograph).replace(birth + b"DA", birth + b"D\x99")
    with pytest.raises(ImageFileError, match=r"^[^\n]*one\.dcm: no segmentation can name its image"):
        write_segmentation(MASK, read_header(data, Path("made.dcm")), tmp_path / "one.dcm")
    assert not list(tmp_path.iterdir())
