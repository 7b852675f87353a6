"""The table of `selcn predict --metadata`: age, sex and site of the images."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from selcn.data.imaging.read import read_bytes
from selcn.errors import ConfigError, DataError, listed
from selcn.inference.given_table import IMAGE_COLUMNS, Finder, GivenRow, GivenTable
from selcn.inference.inputs import Item, read_cells
from selcn.inference.predictor import Predictor
from selcn.labels.metadata import ALIASES, encode_metadata

logger = logging.getLogger(__name__)


def add_metadata(table: Path, items: Sequence[Item], predictor: Predictor, given: GivenTable | None) -> GivenTable:
    """What is given of some files, with the metadata that a table holds of them.

    Rows of other images are not used. Images without a row have no metadata; how many there are is logged.

    Args:
        table: CSV with a column `image` (name, path, stem or image_id of an input), and those that the bundle reads of
            `age`, `sex` and `site`, or as published tables call them. An empty cell is a missing value.
        items: the files that are predicted.
        predictor: of the bundle.
        given: what else is given of the files.

    Raises:
        DataError: a column is missing, or values are of another kind; all faulty rows are named at once.
        ConfigError: the bundle reads no metadata, or the engine cannot be given it.
    """
    fields = predictor.config.metadata
    if not fields:
        raise ConfigError(f"--metadata: no network of bundle {predictor.name} reads metadata; leave it out")
    cells = read_cells(table)
    key, columns = _columns(table, [row for _, row in cells], fields)
    rows, faults, find = dict(given.rows if given else {}), list[str](), Finder(items, table.parent)
    found: set[int] = set()
    for line, row in cells:
        numbers = find.all((row[key] or "").strip())
        try:
            values = _values(row, columns) if numbers else {}
        except ValueError as error:
            faults.append(f"line {line}: {error}")
            continue
        found.update(numbers)
        rows |= {number: replace(rows.get(number, GivenRow()), metadata=values) for number in numbers}
    if faults:
        raise DataError(f"{table}: {listed(faults)}")
    if len(found) < len(items):
        logger.info("%s: has no row for %d of %d files; their metadata is missing", table, *_counts(found, items))
    digest = hashlib.sha256(read_bytes(table) + (given.digest if given else "").encode())
    return GivenTable(rows, digest.hexdigest())


def _counts(found: set[int], items: Sequence[Item]) -> tuple[int, int]:
    return len(items) - len(found), len(items)


def _columns(table: Path, cells: Sequence[Mapping[str, str]], fields: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The column that names images, and that of each field."""
    there = [name for name in (cells[0] if cells else {}) if name]
    key = next((name for name in IMAGE_COLUMNS if name in there), None)
    if key is None:
        raise DataError(f"{table}: has no rows, or no column {IMAGE_COLUMNS[0]}; name the column of images so")
    columns = {ALIASES.get(name, name): name for name in reversed(there)}
    missing = [field for field in fields if field not in columns]
    if missing:
        raise DataError(f"{table}: has no column {missing[0]}; it has {', '.join(there)}; add it, empty where unknown")
    return key, {field: columns[field] for field in fields}


def _values(row: Mapping[str, str], columns: Mapping[str, str]) -> dict[str, str]:
    values = {field: (row[column] or "").strip() for field, column in columns.items()}
    encode_metadata(values)
    return values
