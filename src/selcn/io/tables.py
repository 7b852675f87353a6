"""Tables as data frames, read as spreadsheets, archives and other people's scripts write them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from selcn.errors import DataError
from selcn.io.cells import guard_cell, other_case, read_cells

LINE = "line"
# What tools write for an unknown value. Taken for an id, one of them would join all its rows to one lesion.
PLACEHOLDERS = frozenset({"nan", "na", "n/a", "none", "null", "nat", "-"})


def read_table(path: Path, needed: Iterable[str] = (), names: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table whose first line names its columns; every cell is a stripped string.

    What is read, and how, is told by `selcn.io.cells.read_cells`; columns without a name are dropped. The index holds
    each row's line number in the file, from 1, for error messages.

    Args:
        path: the file.
        needed: columns that must be there, in any case; they come back as written here.
        names: the columns of a file that has no header.

    Raises:
        DataError: as for `read_cells`, or a column is missing or doubled.
    """
    header, rows = read_cells(path, names)
    needed = list(needed)
    ours = other_case(header, needed)
    header = [ours.get(name, name) for name in header]
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


def guarded(table: pd.DataFrame) -> pd.DataFrame:
    """The table as it is to be written: cells that a spreadsheet would run begin with `'`; see `guard_cell`.

    Args:
        table: of any columns; only text is changed.
    """
    text = [name for name in table.columns if pd.api.types.is_string_dtype(table[name])]
    changed = {name: table[name].map(lambda cell: guard_cell(cell) if isinstance(cell, str) else cell) for name in text}
    return table.assign(**changed)


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
