"""The lesion-grouped test part and folds: written once, shared by all three stages."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.data.catalog import catalog_hash, groups
from selcn.errors import DataError
from selcn.evaluation.predictions import TEST
from selcn.files import write_text


@dataclass(frozen=True)
class Split:
    """Which part each image belongs to: `test`, or the number of the fold that holds it out.

    Attributes:
        part: part by image_id.
        group: the never divided unit by image_id.
        folds: how many folds there are.
        seed: what the dealing was seeded with.
        catalog: hash of the catalog that was split.
    """

    part: dict[str, str]
    group: dict[str, str]
    folds: int
    seed: int
    catalog: str

    @property
    def parts(self) -> list[str]:
        """The folds' names, then the test part's where there is one."""
        names = [str(fold) for fold in range(self.folds)]
        return [*names, TEST] if TEST in self.part.values() else names

    def rows(self, table: pd.DataFrame, *parts: str) -> np.ndarray:
        """Row numbers of ``table`` whose image lies in one of ``parts``."""
        return np.flatnonzero(table["image_id"].map(self.part).isin(parts))


def grouped_split(table: pd.DataFrame, *, folds: int = 3, test: float = 0.2, seed: int = 42) -> Split:
    """Deal whole groups to a test part and ``folds`` folds, as near to stratified as groups allow.

    Stratified over diagnosis and symmetry together, so that one split serves all stages. Within a stratum the largest
    groups are dealt first, each to a part that has none of its classes, else to the one that lacks most images of that
    stratum, of that diagnosis, and of all.

    Args:
        table: a validated catalog.
        folds: number of folds, at least 2.
        test: share of the images held out for testing, 0 for none.
        seed: orders groups of equal size.

    Raises:
        DataError: a class has fewer groups than there are parts, so that a part would lack it.
    """
    parts = [str(fold) for fold in range(folds)] + ([TEST] if test else [])
    share = np.array([(1 - test) / folds] * folds + ([test] if test else []))
    table = table.assign(group=groups(table))
    _refuse_rare_classes(table, len(parts))
    units = table.groupby("group", sort=True).agg(
        diagnosis=("diagnosis", "max"), symmetry=("symmetry", "max"), images=("image_id", "size")
    )
    units = units.iloc[np.random.default_rng(seed).permutation(len(units))]
    units = units.sort_values("images", ascending=False, kind="stable")
    part_of = _deal(units, share)
    part = {image: parts[part_of[group]] for image, group in zip(table["image_id"], table["group"], strict=True)}
    split = Split(part, dict(zip(table["image_id"], table["group"], strict=True)), folds, seed, catalog_hash(table))
    check_split(split, table, "split")
    return split


def _deal(units: pd.DataFrame, share: np.ndarray) -> dict[str, int]:
    rarest_first = units.groupby(["diagnosis", "symmetry"], sort=True)["images"].sum().sort_values(kind="stable")
    lack_all = share * units["images"].sum()
    lack_of = {name: share * total for name, total in units.groupby("diagnosis")["images"].sum().items()}
    held: list[set[str]] = [set() for _ in share]
    part_of: dict[str, int] = {}
    for diagnosis, symmetry in rarest_first.index:
        members = units[(units["diagnosis"] == diagnosis) & (units["symmetry"] == symmetry)]
        lacks = (share * members["images"].sum(), lack_of[diagnosis], lack_all)
        labels = {diagnosis, symmetry}
        for group, images in zip(members.index, members["images"], strict=True):
            best = max(range(len(share)), key=lambda part: _need(part, labels - held[part], lacks))
            part_of[group] = best
            held[best] |= labels
            for lack in lacks:
                lack[best] -= images
    return part_of


def _need(part: int, not_held: set[str], lacks: tuple[np.ndarray, ...]) -> tuple[float, ...]:
    # A part without a class comes first, or small parts would be left without the rare ones. Rounding lets ties in the
    # stratum be settled by the diagnosis, and those by the whole.
    return len(not_held), *(round(float(lack[part]), 6) for lack in lacks)


def _refuse_rare_classes(table: pd.DataFrame, parts: int) -> None:
    for column in ("diagnosis", "symmetry"):
        counts = table[table[column] != ""].groupby(column)["group"].nunique()
        for name, count in counts[counts < parts].items():
            raise DataError(
                f"{column} {name} has {count} groups, too few for {parts} parts (test and folds); use fewer folds or "
                f"remove its images from the catalog"
            )


def check_split(split: Split, table: pd.DataFrame, where: str) -> None:
    """Refuse a split that does not belong to the catalog, divides a group, or leaves a fold without a class.

    Raises:
        DataError: one line naming the image, group or class.
    """
    if split.catalog != catalog_hash(table):
        raise DataError(f"{where}: was made from another catalog; make it anew with `selcn split`")
    parts = table.assign(group=groups(table), part=table["image_id"].map(split.part))
    strange = parts["part"].isna() | ~parts["part"].isin(split.parts)
    if strange.any():
        raise DataError(
            f"{where}: image {parts.loc[strange, 'image_id'].iloc[0]} has no part; make it anew with `selcn split`"
        )
    empty = set(split.parts) - set(parts["part"])
    if empty:
        raise DataError(f"{where}: part {min(empty)} holds no image; use fewer folds")
    spread = parts.groupby("group")["part"].nunique()
    if (spread > 1).any():
        raise DataError(
            f"{where}: {spread.idxmax()} is divided between parts, which leaks; make it anew with `selcn split`"
        )
    for column in ("diagnosis", "symmetry"):
        counts = pd.crosstab(parts["part"], parts[column]).drop(columns="", errors="ignore")
        counts = counts.reindex(split.parts, fill_value=0)
        if (counts == 0).any(axis=None):
            name = (counts == 0).any().idxmax()
            part = counts[name].idxmin()
            raise DataError(f"{where}: part {part} holds no {column} {name}; use fewer folds or another seed")


def count_table(split: Split, table: pd.DataFrame) -> pd.DataFrame:
    """Images and groups of each part, and its images of each diagnosis and symmetry."""
    parts = table.assign(group=table["image_id"].map(split.group), part=table["image_id"].map(split.part))
    totals = parts.groupby("part").agg(images=("image_id", "size"), groups=("group", "nunique"))
    classes = [
        pd.crosstab(parts["part"], parts[name]).drop(columns="", errors="ignore") for name in ("diagnosis", "symmetry")
    ]
    return pd.concat([totals, *classes], axis=1).reindex(split.parts)


def write_split(split: Split, table: pd.DataFrame, path: Path) -> None:
    """Write the split as JSON, counts included, under a temporary name and rename it."""
    head = {"protocol": "grouped", "folds": split.folds, "seed": split.seed, "catalog": split.catalog}
    counts = count_table(split, table).to_dict(orient="index")
    images = {image: {"part": part, "group": split.group[image]} for image, part in split.part.items()}
    write_text(path, json.dumps({**head, "counts": counts, "images": images}, indent=1))


def read_split(path: Path, table: pd.DataFrame) -> Split:
    """Read a split and check it against its catalog.

    Raises:
        DataError: unreadable, a key is missing, or `check_split` refuses it.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        part = {image: row["part"] for image, row in tree["images"].items()}
        group = {image: row["group"] for image, row in tree["images"].items()}
        split = Split(part, group, int(tree["folds"]), int(tree["seed"]), tree["catalog"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a split file ({error!r:.80}); make one with `selcn split`") from None
    check_split(split, table, str(path))
    return split
