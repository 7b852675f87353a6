"""A few dermoscopic images that anyone may use (CC0), for the web page, examples and tests.

`README.md` beside them says where they are from.
"""

from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent
_DIAGNOSES = {"ISIC_0000166": "mel", "ISIC_0000213": "nv", "ISIC_0000546": "nv", "ISIC_0012217": "bkl"}


class Sample(NamedTuple):
    """A dermoscopic image of the ISIC archive.

    Attributes:
        isic_id: its name in the archive.
        diagnosis: a class of the label set `ham10000`.
        path: the file, JPEG.
    """

    isic_id: str
    diagnosis: str
    path: Path


def dermoscopy_samples() -> list[Sample]:
    """The images that come with selcn, in the order of their names."""
    return [Sample(name, diagnosis, _HERE / f"{name}.jpg") for name, diagnosis in _DIAGNOSES.items()]
