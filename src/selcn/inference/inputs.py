"""The inputs of `selcn predict` as a list of image files: files, folders, patterns, tables of paths, standard input."""

import csv
import glob
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from selcn.data.discovery import find_images
from selcn.data.imaging.read import is_dicom, read_bytes
from selcn.errors import DataError

STANDARD_INPUT = "-"
PATH_COLUMNS = ("image_path", "path", "image", "file")
_TABLES = (".csv", ".tsv", ".txt")
_PICTURE_STARTS = (b"\xff\xd8", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*", b"RIFF")


@dataclass(frozen=True)
class Item:
    """A file of one or more images.

    Attributes:
        name: of the file, in results.
        data: its content where it came through standard input; None for a file of that name.
        image_id: of the table that lists it; "" where it has none.
    """

    name: str
    data: bytes | None = None
    image_id: str = ""

    def read(self) -> bytes:
        """The file's content.

        Raises:
            ImageFileError: missing or unreadable.
        """
        return read_bytes(Path(self.name)) if self.data is None else self.data


def list_items(inputs: Sequence[str]) -> list[Item]:
    """All files that the inputs name, in order; one that is named twice is listed twice.

    Args:
        inputs: files, folders, glob patterns, tables (`.csv`, `.tsv`, `.txt`) with a column of ``PATH_COLUMNS``, or `-`
            for standard input.

    Raises:
        DataError: a path or pattern matches nothing, a folder holds no images, or a table has no column of paths.
    """
    return [item for given in inputs for item in _items(given)]


def _items(given: str) -> Iterable[Item]:
    path = Path(given)
    if given == STANDARD_INPUT:
        return _standard_input(sys.stdin.buffer.read())
    if path.is_dir():
        return [Item(str(found)) for found in find_images(path)]
    if path.suffix.lower() in _TABLES and path.is_file():
        return _listed_in(path)
    if not path.exists() and glob.has_magic(given):
        # Not Path.glob, which takes no pattern that begins at the root.
        found = sorted(name for name in glob.glob(given, recursive=True) if Path(name).is_file())  # noqa: PTH207
        if not found:
            raise DataError(f"{given}: no file is named so; check the pattern")
        return [Item(name) for name in found]
    if not path.exists():
        raise DataError(f"{given}: no such file or folder; check the path")
    return [Item(given)]


def _standard_input(data: bytes) -> list[Item]:
    """One image, or a path a line."""
    if data.startswith(_PICTURE_STARTS) or is_dicom(data):
        return [Item(STANDARD_INPUT, data)]
    try:
        names = [line.strip() for line in data.decode("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise DataError("standard input: neither an image nor a path a line; send either") from None
    if not names:
        raise DataError("standard input: is empty; send an image, or a path a line")
    return [Item(name) for name in names]


def _listed_in(table: Path) -> list[Item]:
    """Files of a table's rows, whose paths are relative to its folder."""
    rows = read_cells(table)
    column = next((name for name in PATH_COLUMNS if rows and name in rows[0]), None)
    if column is None:
        raise DataError(f"{table}: has no rows, or no column {' or '.join(PATH_COLUMNS)}; name the column of paths so")
    return [Item(str(table.parent / row[column]), None, row.get("image_id") or "") for row in rows if row[column]]


def read_cells(table: Path) -> list[dict[str, str]]:
    """The rows of a table with a header, by column; without pandas, which a machine that only predicts may lack.

    Args:
        table: CSV in UTF-8, of cells between commas, semicolons, tabs or bars.

    Raises:
        DataError: it cannot be read.
    """
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table}: cannot be read ({error}); save it as CSV in UTF-8") from None
    header = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t|", key=header.count)
    return list(csv.DictReader(text.splitlines(), delimiter=delimiter))
