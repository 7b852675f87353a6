"""Prediction rows as tables: CSV and Parquet."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from selcn.errors import require_extra
from selcn.io.cells import guard_cell
from selcn.io.files import written_whole

_GROUP = 5_000  # rows a Parquet row group, which bounds the memory


def write_csv(rows: Iterable[Mapping[str, Any]], fields: Mapping[str, type], path: Path) -> None:
    """Write flat rows as CSV, atomically.

    Args:
        rows: as `selcn.inference.row.flatten` gives them.
        fields: columns and their types; see `selcn.inference.row.row_fields`.
        path: of the file.
    """
    with written_whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(fields), restval="", extrasaction="raise")
        writer.writeheader()
        writer.writerows({name: _guarded(value) for name, value in row.items()} for row in rows)


def write_parquet(rows: Iterable[Mapping[str, Any]], fields: Mapping[str, type], path: Path) -> None:
    """Write flat rows as Parquet, atomically.

    Args:
        rows: as `selcn.inference.row.flatten` gives them.
        fields: columns and their types; see `selcn.inference.row.row_fields`.
        path: of the file.

    Raises:
        ConfigError: the extra is not installed.
    """
    pa = require_extra("pyarrow", "parquet", "--table parquet")
    pq = require_extra("pyarrow.parquet", "parquet", "--table parquet")
    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in fields.items()])
    with written_whole(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        for group in _groups(rows):
            writer.write_table(pa.Table.from_pylist(group, schema))


def _guarded(value: object) -> object:
    return guard_cell(value) if isinstance(value, str) else value


def _groups(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    remaining = iter(rows)
    while group := list(islice(remaining, _GROUP)):
        yield group
