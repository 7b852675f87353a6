"""Addresses of images, as any table can hold them: a file, a frame of a file, or an image of an HDF5 file.

Files may be in object storage (`s3://bucket/scan.tif`), but HDF5 files.
`scan.tif#2` is the third page of `scan.tif`, `train-image.hdf5#ISIC_0015670` the image of that id. Bytes of a file's
name that are not UTF-8 are written as `\\xff`.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from selcn.io import storage

HDF5_SUFFIXES = frozenset({".h5", ".hdf5"})
LISTED = 10_000
"""Files of a folder in object storage from which on it is listed rather than each asked for."""
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
    if storage.is_remote(path):
        return storage.address_of(path)
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def locate(address: Path) -> Located:
    """The file that an address means; a file of exactly this name goes before a part of another.

    Args:
        address: of an image; where nothing is there, it is taken for a file's path.
    """
    if storage.is_remote(address):
        name, _, part = str(address).rpartition("#")
        return Located(Path(name), int(part)) if part.isascii() and part.isdecimal() else Located(address)
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


def file_state(address: str | Path) -> tuple[int, int | str] | None:
    """Size in bytes and time of change in nanoseconds of the file that holds an image, which tell a replaced file.

    Args:
        address: of an image.

    Returns:
        None of a missing one. Of one in object storage its tag in place of the time.

    Raises:
        StorageError: object storage cannot be reached or refuses.
    """
    file = locate(Path(address)).file
    if storage.is_remote(file):
        return storage.state(file)
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def is_file(address: str | Path) -> bool:
    """Whether the file that holds an image is there.

    Args:
        address: of an image.

    Raises:
        StorageError: object storage cannot be reached or refuses.
    """
    file = locate(Path(address)).file
    return storage.state(file) is not None if storage.is_remote(file) else file.is_file()


def file_states(addresses: Sequence[str]) -> list[tuple[int, int | str] | None]:
    """`file_state` of each address; those of object storage are asked for several at a time.

    A folder there of which many files are asked for is listed instead, a thousand files a request.

    Args:
        addresses: of images.

    Raises:
        StorageError: object storage cannot be reached or refuses.
    """
    if not any(map(storage.is_remote, addresses)):
        return [file_state(address) for address in addresses]
    files = [locate(Path(address)).file for address in addresses]
    counts = Counter(file.parent for file in files if storage.is_remote(file))
    listed = {folder: storage.states_in(folder) for folder, count in counts.items() if count >= LISTED}

    def state(number: int) -> tuple[int, int | str] | None:
        file = files[number]
        known = listed.get(file.parent)
        return file_state(addresses[number]) if known is None else known.get(storage.address_of(file))

    with ThreadPoolExecutor(storage.TRANSFERS) as pool:
        return list(pool.map(state, range(len(files))))


def _existing(name: str) -> Path | None:
    if os.path.exists(name):  # noqa: PTH110 - Path.exists() raises at a name that is too long
        return Path(name)
    if "\\x" not in name:
        return None
    raw = os.fsdecode(_BYTE.sub(lambda found: bytes.fromhex(found[1].decode()), os.fsencode(name)))
    return Path(raw) if os.path.exists(raw) else None  # noqa: PTH110
