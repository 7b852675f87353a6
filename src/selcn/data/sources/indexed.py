"""What indexing a source gives: a catalog, and what a person should know of how it came about."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from selcn.data.catalog import complete_catalog
from selcn.data.sources.frames import with_frames
from selcn.errors import ConfigError
from selcn.io.tables import without_placeholders
from selcn.labels import CONCEPTS, UNKNOWN, find_concept

PUBLISHED = "published_diagnosis"
"""Extra column: a diagnosis as its source wrote it, where that is not the name of its concept."""


class Diagnosis(NamedTuple):
    """A diagnosis of a catalog.

    Attributes:
        published: as its source wrote it.
        taken_as: its concept, or what an alias makes of it; "" of a word that is no known diagnosis, and stands in the
            catalog as it was written.
        images: that have it.
    """

    published: str
    taken_as: str
    images: int


class Indexed(NamedTuple):
    """A catalog and its notes.

    Attributes:
        table: the validated catalog.
        notes: how many of what was left aside, by what it was.
    """

    table: pd.DataFrame
    notes: dict[str, int]

    def diagnoses(self) -> list[Diagnosis]:
        """Every published diagnosis: those of no known concept first, then by concept, the most frequent first."""
        order = {name: number for number, name in enumerate(["", *CONCEPTS])}
        pairs = Counter(zip(self._published(), self.table["diagnosis"], strict=True))
        found = [
            Diagnosis(word, "" if taken == UNKNOWN or (taken == word and taken not in CONCEPTS) else taken, images)
            for (word, taken), images in pairs.items()
            if word
        ]
        return sorted(found, key=lambda one: (order.get(one.taken_as, len(order)), -one.images, one.published))

    def renamed(self, aliases: Mapping[str, str]) -> "Indexed":
        """The same with other concepts, or classes of one's own, for some published diagnoses.

        Args:
            aliases: the new diagnosis by the published one, which is compared in lower case.

        Raises:
            ConfigError: no image has one of the published diagnoses.
        """
        published, wanted = self._published(), {word.strip().lower(): name for word, name in aliases.items()}
        words = published.str.lower()
        absent = sorted(set(wanted).difference(words))
        if absent:
            raise ConfigError(f"--aliases: no image has the diagnosis {', '.join(absent)}; write it as index lists it")
        diagnosis = words.map(wanted).fillna(self.table["diagnosis"])
        table = self.table.assign(**{"diagnosis": diagnosis, PUBLISHED: published.where(published != diagnosis, "")})
        return Indexed(table, self.notes)

    def _published(self) -> "pd.Series[str]":
        """The diagnoses as their sources wrote them."""
        taken = self.table["diagnosis"]
        if PUBLISHED not in self.table:
            return taken
        return self.table[PUBLISHED].where(self.table[PUBLISHED] != "", taken)


def nonzero(notes: Mapping[str, int]) -> dict[str, int]:
    """The notes of what there is any of.

    Args:
        notes: how many, by what they are.
    """
    return {what: count for what, count in notes.items() if count}


def make_catalog(rows: pd.DataFrame, where: str) -> pd.DataFrame:
    """A validated catalog of rows whose ``diagnosis`` is as published: mapped to concepts, other words kept.

    Files with several frames become a row a frame, see `with_frames`.

    Args:
        rows: with at least `image_id` and `image_path`.
        where: what errors call them.
    """
    if {"image_id", "image_path"} <= set(rows.columns):
        rows = with_frames(rows, where)
    if "diagnosis" in rows.columns:
        published = without_placeholders(rows["diagnosis"].fillna("").astype(str).str.strip())
        concept_of = {word: find_concept(word) or word for word in published.unique()}
        mapped = published.map(concept_of)
        rows = rows.assign(diagnosis=mapped)
        if (published != mapped).any():
            rows[PUBLISHED] = published.where(published != mapped, "")
    return complete_catalog(rows, where)
