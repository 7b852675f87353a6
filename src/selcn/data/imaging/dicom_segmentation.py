"""A lesion's mask as DICOM Segmentation, which names the image it is of."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np

from selcn.data.imaging.decode import ImageFileError
from selcn.errors import ConfigError
from selcn.io.files import written_whole

try:
    import highdicom
    import pydicom
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    from selcn.data.imaging.dicom_messages import cause, silence_headers
    from selcn.data.imaging.dicom_size import read_dicom
except ImportError as missing:
    raise ConfigError(f"DICOM Segmentation needs an extra ({missing.name}); `pip install selcn[dicom]`") from None

_MADE_BY = "selcn"
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality")
_MAY_BE_EMPTY = (
    "AccessionNumber",
    "PatientBirthDate",
    "PatientID",
    "PatientName",
    "PatientSex",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyID",
    "StudyTime",
)


def read_header(data: bytes, path: Path) -> pydicom.Dataset:
    """All of a DICOM image but its pixels.

    Args:
        data: the file's content.
        path: what an error calls it.

    Raises:
        ImageFileError: it lacks what a segmentation has to name.
    """
    with _told(path):
        header = read_dicom(data, path, pixels=False)
        return _complete(header, path)


def _complete(header: pydicom.Dataset, path: Path) -> pydicom.Dataset:
    lacking = [name for name in _NEEDED if not header.get(name)]
    if lacking:
        raise ImageFileError("unreadable", f"{path}: lacks {', '.join(lacking)}, which a segmentation has to name")
    for name in _MAY_BE_EMPTY:
        if name not in header:
            setattr(header, name, "")
    return header


def write_segmentation(
    mask: np.ndarray, header: pydicom.Dataset, path: Path, *, frame: int | None = None, source: str = ""
) -> None:
    """Write a mask as DICOM Segmentation; see `encode_segmentation`.

    Args:
        mask: bool (H, W), of the image's own size.
        header: of the image, from `read_header`.
        path: the file to write.
        frame: which of a file with several, from 0.
        source: what tells the bundle that outlined it from others.

    Raises:
        ImageFileError: the image's header holds what no segmentation can.
    """
    encoded = encode_segmentation(mask, header, path, frame=frame, source=source)
    with written_whole(path) as partial:
        partial.write_bytes(encoded)


def encode_segmentation(
    mask: np.ndarray, header: pydicom.Dataset, path: Path, *, frame: int | None = None, source: str = ""
) -> bytes:
    """A mask as the bytes of a DICOM Segmentation of one binary segment, the lesion.

    The same mask of the same image has the same identifiers, so that whoever has it already is not given it twice.

    Args:
        mask: bool (H, W), of the image's own size.
        header: of the image, from `read_header`.
        path: what an error calls it.
        frame: which of a file with several, from 0.
        source: what tells the bundle that outlined it from others.

    Raises:
        ImageFileError: the image's header holds what no segmentation can.
    """
    file = io.BytesIO()
    with _told(path):
        _segmentation(mask, header, frame, source).save_as(file)
    return file.getvalue()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Headers that were changed make pydicom raise nearly everything there is."""
    silence_headers()
    try:
        yield
    except (ImageFileError, OSError):
        raise
    except Exception as error:
        raise ImageFileError("unreadable", f"{path}: no segmentation can name its image ({cause(error)})") from None


def _segmentation(
    mask: np.ndarray, header: pydicom.Dataset, frame: int | None, source: str
) -> highdicom.seg.Segmentation:
    single = pydicom.Dataset(header)
    single.file_meta = header.file_meta
    # Of several frames highdicom would ask for a frame of reference, which photographs lack.
    single.pop("NumberOfFrames", None)
    segment = highdicom.seg.SegmentDescription(
        1,
        "lesion",
        codes.SCT.MorphologicallyAbnormalStructure,
        codes.SCT.Lesion,
        highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        highdicom.AlgorithmIdentificationSequence(_MADE_BY, codes.cid7162.ArtificialIntelligence, version(_MADE_BY)),
    )
    made = highdicom.seg.Segmentation(
        [single],
        mask[None].astype(np.uint8),
        highdicom.seg.SegmentationTypeValues.BINARY,
        [segment],
        series_instance_uid=generate_uid(entropy_srcs=[source, header.SeriesInstanceUID]),
        series_number=1,
        sop_instance_uid=generate_uid(entropy_srcs=[source, header.SOPInstanceUID, str(frame)]),
        instance_number=1 if frame is None else frame + 1,
        manufacturer=_MADE_BY,
        manufacturer_model_name=_MADE_BY,
        software_versions=version(_MADE_BY),
        device_serial_number=source[:64] or _MADE_BY,
        omit_empty_frames=False,
    )
    if frame is not None:
        groups = made.PerFrameFunctionalGroupsSequence[0]
        groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber = frame + 1
    return made
