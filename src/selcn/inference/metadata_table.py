"""The table of `selcn predict --metadata`: age, sex and site of the images."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from selcn.data.imaging.read import read_bytes
from selcn.errors import ConfigError, DataError, listed
from selcn.inference.given_table import GivenRow, GivenTable
from selcn.inference.image_table import Finder, read_image_table
from selcn.inference.inputs import Item
from selcn.inference.predictor import Predictor
from selcn.labels.metadata import ALIASES, encode_metadata

logger = logging.getLogger(__name__)


def add_metadata(table: Path, items: Sequence[Item], predictor: Predictor, given: GivenTable | None) -> GivenTable:
    """What is given of some files, with the metadata that a table holds of them.

    Rows of other images are not used. Images without a row have no metadata; how many there are is logged.

    Args:
        table: CSV with a column `image` (name, path, stem or image_id of an input, or of the file whose frames are
            inputs), and those that the bundle reads of `age`, `sex` and `site`, or as published tables call them. An
            empty cell is a missing value.
        items: the files that are predicted.
        predictor: of the bundle.
        given: what else is given of the files.

    Raises:
        DataError: a column is missing or doubled, a row matches several inputs, two rows match one, or values are of
            another kind; all faulty rows are named at once.
        ConfigError: the bundle reads no metadata, or the engine cannot be given it.
    """
    fields = predictor.config.metadata
    if not fields:
        raise ConfigError(f"--metadata: no network of bundle {predictor.name} reads metadata; leave it out")
    key, lines = read_image_table(table, (*fields, *(name for name, field in ALIASES.items() if field in fields)))
    columns = _columns(table, list(lines[0][1]), fields)
    rows, faults, find = dict(given.rows if given else {}), list[str](), Finder(items, table.parent, whole=True)
    found: set[int] = set()
    for line, row in lines:
        try:
            numbers = find(row[key])
            if found & set(numbers):
                raise DataError(f"{row[key]} stands twice; write one row an image")
            values = {field: row[column] for field, column in columns.items()}
            if numbers:
                encode_metadata(values)
        except (DataError, ValueError) as error:
            faults.append(f"line {line}: {error}")
            continue
        found.update(numbers)
        rows |= {number: replace(rows.get(number, GivenRow()), metadata=values) for number in numbers}
    if faults:
        raise DataError(f"{table}: {listed(faults)}")
    if len(found) < len(items):
        missing = len(items) - len(found)
        logger.info("%s: has no row for %d of %d files; their metadata is missing", table, missing, len(items))
    digest = hashlib.sha256(read_bytes(table) + (given.digest if given else "").encode())
    return GivenTable(rows, digest.hexdigest())


def _columns(table: Path, there: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    """The column of each field."""
    columns = {}
    for field in fields:
        held = [name for name in there if ALIASES.get(name, name) == field]
        if not held:
            raise DataError(f"{table}: has no column {field}; it has {', '.join(there)}; add it, empty where unknown")
        if len(held) > 1:
            raise DataError(f"{table}: columns {', '.join(held)} are all {field}; keep one of them")
        columns[field] = held[0]
    return columns
