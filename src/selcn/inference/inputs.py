"""The inputs of `selcn predict` as a list of image files: files, folders, patterns, tables of paths, standard input."""

import glob
import hashlib
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selcn.data.discovery import TABLE_SUFFIXES, find_images, images
from selcn.data.imaging.address import HDF5_SUFFIXES, file_states, is_file, locate, printable
from selcn.data.imaging.decode import SHRUNK, peek_size
from selcn.data.imaging.read import decode_file, is_dicom, read_bytes, read_file
from selcn.data.naming import IMAGE_SUFFIXES
from selcn.errors import DataError, listed
from selcn.io import cells, storage
from selcn.io.resume import holds_job

STANDARD_INPUT = "-"
PATH_COLUMNS = ("image_path", "path", "image", "file")
_TABLES = TABLE_SUFFIXES | {".txt"}
_PICTURE_STARTS = (b"\xff\xd8", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*", b"RIFF")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """A file of one or more images, or one image of a file.

    Attributes:
        name: of the file, in results; an address of `selcn.data.imaging.address`.
        data: its content where it came through standard input; None for a file of that name.
        image_id: of the table that lists it; "" where it has none.
        smallest: width and height down to which JPEG may be shrunk as it is decoded; None for its whole size.
    """

    name: str
    data: bytes | None = None
    image_id: str = ""
    smallest: tuple[int, int] | None = None

    def read(self) -> bytes:
        """The file's content.

        Raises:
            ImageFileError: missing or unreadable.
        """
        return read_bytes(Path(self.name)) if self.data is None else self.data

    @property
    def frame(self) -> int | None:
        """The frame that the name is of; None where it names none."""
        return None if self.data is not None else locate(Path(self.name)).frame

    def frames(self) -> list[tuple[np.ndarray, tuple[int, int]]]:
        """The images, uint8 RGB (H, W, 3), each with the width and height that it has in the file.

        Raises:
            ImageFileError: missing or unreadable.
        """
        path = Path(self.name)
        if self.data is None:
            _, header, pictures = read_file(path, self.smallest)
        else:
            header, pictures = decode_file(self.data, path, smallest=self.smallest)
        return [(one, header.upright if header.format in SHRUNK else one.shape[1::-1]) for one in pictures]


def item_states(items: Sequence[Item]) -> list[tuple[str, int | None, int | str | None]]:
    """Name, size in bytes, and time of change in nanoseconds of files, which tell a replaced one.

    Of a missing file None; of standard input SHA-256 in place of the time, of object storage its tag.

    Args:
        items: the files.

    Raises:
        StorageError: object storage cannot be reached or refuses.
    """
    states = iter(file_states([item.name for item in items if item.data is None]))
    return [
        (item.name, *(next(states) or (None, None)))
        if item.data is None
        else (item.name, len(item.data), hashlib.sha256(item.data).hexdigest())
        for item in items
    ]


def list_items(inputs: Sequence[str]) -> list[Item]:
    """All files that the inputs name, in order; one that is named twice is listed twice.

    Of a folder or a pattern, files in folders of results below it are left out, and counted in the log.

    Args:
        inputs: files, folders, glob patterns, tables (`.csv`, `.tsv`, `.xlsx`, `.txt`) with a column of
            ``PATH_COLUMNS`` or a path a line, here or in object storage, or `-` for standard input.

    Raises:
        DataError: a path or pattern matches nothing, a folder holds no images, or a table has no column of paths or an
            empty one.
    """
    return [item for given in inputs for item in _items(given)]


def _items(given: str) -> Iterable[Item]:
    path = Path(given)
    if storage.is_remote(given):
        return _stored(storage.address_of(given))
    if given == STANDARD_INPUT:
        return _standard_input(sys.stdin.buffer.read())
    there = os.path.exists(given)  # noqa: PTH110 - Path.exists() raises at a name that is too long
    if there and path.is_dir():
        return _without_results(given, path, [printable(found) for found in find_images(path)])
    if there and path.suffix.lower() in _TABLES:
        return _listed_in(path)
    if there and path.suffix.lower() in HDF5_SUFFIXES:
        return [Item(printable(found)) for found in images([path])]
    if not there and glob.has_magic(given):
        # Not Path.glob, which takes no pattern that begins at the root.
        found = sorted(name for name in glob.glob(given, recursive=True) if Path(name).is_file())  # noqa: PTH207
        if not found:
            raise DataError(f"{given}: no file is named so; check the pattern")
        fixed = Path(given).parts[: next(n for n, part in enumerate(Path(given).parts) if glob.has_magic(part))]
        return _without_results(given, Path(*fixed), [printable(name) for name in found])
    if not there and locate(path).file == path:
        raise DataError(f"{printable(given)}: no such file or folder; check the path")
    return [Item(printable(given))]


def _stored(address: str) -> Iterable[Item]:
    """What an address of object storage names."""
    path = Path(address)
    if "*" in address:
        found = storage.find(address)
        if not found:
            raise DataError(f"{address}: nothing is named so; check the pattern")
        return _without_results(address, Path(address.partition("*")[0].rpartition("/")[0]), found)
    if path.suffix.lower() in _TABLES:
        return _listed_in(path)
    if locate(path).file.suffix.lower() not in IMAGE_SUFFIXES:
        return _without_results(address, path, [printable(found) for found in find_images(path)])
    if not is_file(address):
        raise DataError(f"{address}: no such file; check the address")
    return [Item(address)]


def _without_results(given: str, base: Path, names: Sequence[str]) -> list[Item]:
    """The files that lie in no folder of a job's results below ``base``; the next job would predict its overlays."""
    results = dict[Path, bool]()

    def is_result(folder: Path) -> bool:
        if folder == base or folder == folder.parent:
            return False
        if folder not in results:
            results[folder] = is_result(folder.parent) or holds_job(folder)
        return results[folder]

    kept = [name for name in names if not is_result(Path(name).parent)]
    if len(kept) < len(names):
        logger.info("%s: %d files in folders of earlier results not used", given, len(names) - len(kept))
    if not kept:
        raise DataError(f"{given}: holds results of earlier predictions only; give the folder of images")
    return [Item(name) for name in kept]


def _standard_input(data: bytes) -> list[Item]:
    """One image, or a path a line."""
    names = _lines(data)
    if names is None:
        if data.startswith(_PICTURE_STARTS) or is_dicom(data) or peek_size(data):
            return [Item(STANDARD_INPUT, data)]
        raise DataError("standard input: neither an image nor a path a line; send either")
    if not names:
        raise DataError("standard input: is empty; send an image, or a path a line")
    return [Item(name) for name in names]


def _lines(data: bytes) -> list[str] | None:
    """The lines of a text, stripped, without empty ones; None of what is no text."""
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else [line.strip() for line in text.splitlines() if line.strip()]


def _listed_in(table: Path) -> list[Item]:
    """Files of a table's rows, whose paths are relative to its folder."""
    header, rows = cells.read_cells(table)
    ours = cells.other_case(header, (*PATH_COLUMNS, "image_id"))
    header = [ours.get(name, name) for name in header]
    column = next((name for name in PATH_COLUMNS if name in header), None)
    if column is None and len(header) == 1 and _is_address(header[0]):
        column, rows = header[0], [(1, header), *rows]  # no header: a path a line
    if column is None or not rows:
        raise DataError(
            f"{table}: has no rows, or no column {' or '.join(PATH_COLUMNS)}, but {', '.join(header)}; name the column "
            "of paths so"
        )
    found = [(line, dict(zip(header, row, strict=True))) for line, row in rows]
    empty = [f"line {line}" for line, row in found if not row[column]]
    if len(empty) == len(found):
        raise DataError(f"{table}: column {column} is empty in every row; write the paths of the images there")
    if empty:
        logger.warning("%s: %d rows without %s are left out: %s", table, len(empty), column, listed(empty))
    filled = [row for _, row in found if row[column]]
    return [Item(printable(storage.joined(table.parent, row[column])), None, row.get("image_id", "")) for row in filled]


def _is_address(line: str) -> bool:
    """Whether the first line of a list is an image's address rather than the name of a column."""
    file = line.rpartition("#")[0]
    return Path(line).suffix.lower() in IMAGE_SUFFIXES or Path(file).suffix.lower() in IMAGE_SUFFIXES | HDF5_SUFFIXES
