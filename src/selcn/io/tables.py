"""CSV tables, read as spreadsheets, archives and other people's scripts write them."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from selcn.errors import DataError, listed

LINE = "line"
DELIMITERS = ",;\t|"
# What tools write for an unknown value. Taken for an id, one of them would join all its rows to one lesion.
PLACEHOLDERS = frozenset({"nan", "na", "n/a", "none", "null", "nat", "-"})


def read_table(path: Path, needed: Iterable[str] = (), names: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table whose first line names its columns; every cell is a stripped string.

    The delimiter is the comma, semicolon, tab or bar that is most frequent in the header. A byte order mark, CRLF,
    blank lines and quoted cells are accepted; columns without a name are dropped. The index holds each row's line
    number in the file, from 1, for error messages.

    Args:
        path: the file, in UTF-8 (or UTF-16 with its mark).
        needed: columns that must be there.
        names: the columns of a file that has no header.

    Raises:
        DataError: unreadable, a column is missing or doubled, or rows are longer or shorter than the header; all faulty
            lines are named at once.
    """
    header, rows = _cells(path, names)
    named = [name for name in header if name]
    doubled = sorted({name for name in named if named.count(name) > 1})
    if doubled:
        raise DataError(f"{path}: column {', '.join(doubled)} stands twice; remove or rename one")
    missing = [name for name in needed if name not in named]
    if missing:
        raise DataError(f"{path}: column {', '.join(missing)} is missing; it holds {', '.join(named) or 'none'}")
    table = pd.DataFrame([cells for _, cells in rows], columns=header, dtype=str)
    table.index = pd.Index([line for line, _ in rows], name=LINE, dtype=int)
    return table[named]


def lines(table: pd.DataFrame) -> list[int]:
    """The line number of each row in its file; counted from 2 for a table that `read_table` did not read.

    Args:
        table: as `read_table` returns it, or any other.
    """
    return [int(line) for line in table.index] if table.index.name == LINE else list(range(2, len(table) + 2))


def without_placeholders(column: "pd.Series[str]") -> "pd.Series[str]":
    """The column with placeholders of unknown values (`NaN`, `null`, `none`, `-` ..., in any case) replaced by "".

    Args:
        column: of strings.
    """
    return column.mask(column.str.lower().isin(PLACEHOLDERS), "")


def whole_numbers(column: "pd.Series[str]") -> "pd.Series[str]":
    """Ids such as `12.0`, as tools write integers of a column with gaps, back to `12`; other columns unchanged.

    Args:
        column: of strings, "" for unknown; converted only if every known value ends in `.0`.
    """
    known = column[column != ""]
    return column.str.removesuffix(".0") if len(known) and known.str.fullmatch(r"\d+\.0").all() else column


def _cells(path: Path, names: Sequence[str] | None) -> tuple[list[str], list[tuple[int, list[str]]]]:
    text = _text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}; mend its quotation marks") from None
    filled = [(line, cells) for line, cells in rows if any(cells)]
    if not filled:
        raise DataError(f"{path}: is empty; write a header and rows")
    (_, header), *body = [(0, list(names)), *filled] if names else filled
    width = len(header)
    wrong = [(line, len(cells)) for line, cells in body if len(cells) < width or any(cells[width:])]
    if wrong:
        faults = [f"line {line}: {count} values under {width} columns" for line, count in wrong]
        raise DataError(f"{path}: {listed(faults)}; write one value a column")
    return header, [(line, cells[:width]) for line, cells in body]


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path}: line {line} is not UTF-8; save the table as CSV in UTF-8") from None
