"""Addresses of images, as any table can hold them: a file, a frame of a file, or an image of an HDF5 file.

`scan.tif#2` is the third page of `scan.tif`, `train-image.hdf5#ISIC_0015670` the image of that id. Bytes of a file's
name that are not UTF-8 are written as `\\xff`.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

HDF5_SUFFIXES = frozenset({".h5", ".hdf5"})
_BYTE = re.compile(rb"\\x([0-9a-f]{2})")


class Located(NamedTuple):
    """Where an image is.

    Attributes:
        file: that holds it.
        frame: its number among the frames of the file, from 0; None where the address names none.
        key: of an image of an HDF5 file; "" of any other.
    """

    file: Path
    frame: int | None = None
    key: str = ""


def printable(path: str | Path) -> str:
    """A path as text in UTF-8, which `locate` finds again.

    Args:
        path: of a file, or an address.
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def locate(address: Path) -> Located:
    """The file that an address means; a file of exactly this name goes before a part of another.

    Args:
        address: of an image; where nothing is there, it is taken for a file's path.
    """
    whole = _existing(str(address))
    if whole is not None:
        return Located(whole)
    name, _, part = str(address).rpartition("#")
    file = _existing(name) if name else None
    if file is None or file.is_dir():
        return Located(address)
    if file.suffix.lower() in HDF5_SUFFIXES:
        return Located(file, key=part)
    return Located(file, int(part)) if part.isascii() and part.isdecimal() else Located(address)


def _existing(name: str) -> Path | None:
    if os.path.exists(name):  # noqa: PTH110 - Path.exists() raises at a name that is too long
        return Path(name)
    if "\\x" not in name:
        return None
    raw = os.fsdecode(_BYTE.sub(lambda found: bytes.fromhex(found[1].decode()), os.fsencode(name)))
    return Path(raw) if os.path.exists(raw) else None  # noqa: PTH110
