"""What indexing a source gives: a catalog, and what a person should know of how it came about."""

from collections import Counter
from typing import NamedTuple

import pandas as pd

from selcn.data.catalog import complete_catalog
from selcn.data.sources.diagnoses import map_diagnoses
from selcn.io.tables import without_placeholders

PUBLISHED = "published_diagnosis"
"""Extra column: a diagnosis as its source wrote it, where that is no name of the seven classes."""


class Indexed(NamedTuple):
    """A catalog and its notes.

    Attributes:
        table: the validated catalog.
        notes: how many of what was left aside, by what it was.
    """

    table: pd.DataFrame
    notes: dict[str, int]

    def unmapped(self) -> dict[str, int]:
        """Images whose published diagnosis is none of the seven classes, by that diagnosis, the most frequent first."""
        if PUBLISHED not in self.table.columns:
            return {}
        names = self.table.loc[self.table["diagnosis"] == "", PUBLISHED]
        return dict(Counter(names[names != ""]).most_common())


def make_catalog(rows: pd.DataFrame, where: str) -> pd.DataFrame:
    """A validated catalog of rows whose ``diagnosis`` is as published: mapped to the seven classes, the rest kept.

    Args:
        rows: with at least `image_id` and `image_path`.
        where: what errors call them.
    """
    if "diagnosis" in rows.columns:
        published = without_placeholders(rows["diagnosis"].fillna("").astype(str).str.strip())
        mapped = map_diagnoses(published)
        rows = rows.assign(diagnosis=mapped)
        if (published != mapped).any():
            rows[PUBLISHED] = published.where(published != mapped, "")
    return complete_catalog(rows, where)
