"""Metadata of a table's images as the numbers that classifiers read; a table of one's own, or a catalog."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from selcn.labels.metadata import FIELDS, WIDTH, encode_metadata


class EncodedMetadata(NamedTuple):
    """Metadata of N images.

    Attributes:
        numbers: float32 (N, `selcn.labels.metadata.WIDTH`), zeros where values are missing.
        unknown: words that no field knows, with the number of images that have them, by field; they count as missing.
    """

    numbers: np.ndarray
    unknown: Mapping[str, Counter[str]]


def encode_table(table: pd.DataFrame, fields: Sequence[str] = FIELDS) -> EncodedMetadata:
    """The metadata of a table's rows.

    Args:
        table: of N images; a field without a column is missing everywhere.
        fields: to read, of `selcn.labels.FIELDS`.
    """
    numbers = np.zeros((len(table), WIDTH), dtype=np.float32)
    unknown: dict[str, Counter[str]] = {field: Counter() for field in fields}
    for field in fields:
        column = table[field].fillna("").astype(str).str.strip() if field in table else pd.Series("", table.index)
        # One encoding a distinct value, not one an image.
        for value, rows in column.groupby(column).indices.items():
            try:
                numbers[rows] += encode_metadata({field: value})
            except ValueError:
                unknown[field][str(value)] += len(rows)
    return EncodedMetadata(numbers, {field: words for field, words in unknown.items() if words})


def known_values(row: Mapping[Any, Any], fields: Iterable[str]) -> dict[str, str]:
    """The metadata of one image, of which unknown words and missing values are left out.

    Args:
        row: of a catalog.
        fields: to read, of `selcn.labels.FIELDS`.
    """
    values = {field: str(row[field]) for field in fields if field in row}
    return {field: value for field, value in values.items() if value and _is_known(field, value)}


def _is_known(field: str, value: str) -> bool:
    try:
        encode_metadata({field: value})
    except ValueError:
        return False
    return True
