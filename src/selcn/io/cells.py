"""Cells of CSV tables and spreadsheets as text, and back without what a spreadsheet would run; without pandas.

A machine that only predicts may lack pandas; `selcn.io.tables` makes data frames of these cells.
"""

import csv
import datetime
import io
import logging
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from selcn.errors import DataError, listed, require_extra
from selcn.io import storage

DELIMITERS = ",;\t|"
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_ZIP = b"PK\x03\x04"
_PARQUET = b"PAR1"
_FORMULA = re.compile(r"'*[=+\-@].", re.DOTALL)
_GUARDED = re.compile(r"'+[=+\-@].", re.DOTALL)
logger = logging.getLogger(__name__)
Rows = list[tuple[int, list[str]]]


def read_cells(path: Path, names: Sequence[str] | None = None) -> tuple[list[str], Rows]:
    """The header of a table, and each row's line number, from 1, with its cells; all stripped.

    Read are CSV with the comma, semicolon, tab or bar that is most frequent in the header or that a first line `sep=;`
    names, Parquet, and the first sheet of an `.xlsx` file. Empty rows are left out, and what `guard_cell` put before a
    cell. Numbers come as the shortest text that reads back to them.

    Args:
        path: the file, text in UTF-8 (or UTF-16 with its mark).
        names: the columns of a file that has no header.

    Raises:
        DataError: unreadable, empty, or rows are longer or shorter than the header; all faulty lines are named at once.
        ConfigError: a spreadsheet or Parquet, and the extra that reads it is not installed.
    """
    data = _content(path)
    if data.startswith(_ZIP):
        rows = _sheet(data, path)
    else:
        rows = _columns(data, path) if data.startswith(_PARQUET) else _text_rows(_text(data, path), path)
    filled = [(line, [_unguarded(cell) for cell in cells]) for line, cells in rows if any(cells)]
    if not filled:
        raise DataError(f"{path}: is empty; write a header and rows")
    (_, header), *body = [(0, list(names)), *filled] if names else filled
    width = len(header)
    wrong = [(line, len(cells)) for line, cells in body if len(cells) < width or any(cells[width:])]
    if wrong:
        faults = [f"line {line}: {count} values under {width} columns" for line, count in wrong]
        raise DataError(f"{path}: {listed(faults)}; write one value a column")
    return header, [(line, cells[:width]) for line, cells in body]


def other_case(columns: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """Wanted columns that a table has in another case only: the wanted name by the table's.

    Args:
        columns: of the table.
        wanted: names as they are to be written.
    """
    held = list(columns)
    found = {}
    for name in wanted:
        alike = [one for one in held if one.casefold() == name.casefold()]
        if name not in held and len(alike) == 1:
            found[alike[0]] = name
    return found


def guard_cell(cell: str) -> str:
    """The cell as a spreadsheet shows it and never runs it: a formula has a `'` before it, which reading takes off.

    Args:
        cell: any text; numbers stay as they are.
    """
    return f"'{cell}" if _FORMULA.match(cell) and not _is_number(cell) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if _GUARDED.match(cell) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _text_rows(text: str, path: Path) -> Rows:
    lines = text.splitlines()
    at = next((number for number, line in enumerate(lines) if line.strip()), 0)
    first = lines[at] if lines else ""
    named = _SEPARATOR_LINE.fullmatch(first.strip())
    delimiter = named[1] if named else max(DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}; mend its quotation marks") from None
    return [row for row in rows if not (named and row[0] == at + 1)]


def _sheet(data: bytes, path: Path) -> Rows:
    openpyxl = require_extra("openpyxl", "xlsx", f"{path}: a spreadsheet")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what openpyxl says of formatting that it does not keep
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
            first, *others = book.worksheets
            first.reset_dimensions()  # which some programs declare as one cell
            rows = [[_cell_text(cell) for cell in row] for row in first.iter_rows(values_only=True)]
    except Exception:  # a broken archive makes readers raise nearly everything there is
        raise DataError(f"{path}: not a readable spreadsheet; save it as .xlsx, or as CSV in UTF-8") from None
    if others:
        names = ", ".join(one.title for one in others)
        logger.info("%s: sheet %s is read; not used: sheet %s", path, first.title, names)
    width = max(map(len, rows), default=0)
    return [(line, [*cells, *[""] * (width - len(cells))]) for line, cells in enumerate(rows, start=1)]


def _columns(data: bytes, path: Path) -> Rows:
    pq = require_extra("pyarrow.parquet", "parquet", f"{path}: a Parquet file")
    try:
        table = pq.read_table(io.BytesIO(data))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error}); write it again, or save CSV") from None
    columns = [[_cell_text(cell) for cell in column.to_pylist()] for column in table.columns]
    rows = [table.column_names, *map(list, zip(*columns, strict=True))]
    return list(enumerate(rows, start=1))


def _cell_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()
    return value.isoformat() if isinstance(value, datetime.date) else str(value).strip()


def _content(path: Path) -> bytes:
    try:
        return storage.read(path) if storage.is_remote(path) else path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def _text(data: bytes, path: Path) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path}: line {line} is not UTF-8; save the table as CSV in UTF-8") from None
