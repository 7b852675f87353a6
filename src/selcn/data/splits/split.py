"""The one split that all networks share: what it holds, how it is checked, written and read."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.data.catalog import catalog_hash, groups
from selcn.errors import DataError
from selcn.io.files import write_text
from selcn.labels import CALIBRATION, TEST, Protocol

EXCLUDED = "excluded"
"""The subset of images that no network may use, since they share a group with an external test subset."""


@dataclass(frozen=True)
class Split:
    """Which subset each image is in: `test`, `calibration`, the number of the fold that holds it out, or `excluded`.

    Attributes:
        protocol: how the subsets were dealt.
        part: subset by image_id.
        group: the unit that intervals resample, by image_id; it lies in one subset.
        folds: how many folds there are.
        seed: what the dealing was seeded with.
        catalog: hash of the catalog that was split.
        duplicates: pairs of image_id that were kept in one subset as images of the same lesion.
    """

    protocol: Protocol
    part: dict[str, str]
    group: dict[str, str]
    folds: int
    seed: int
    catalog: str
    duplicates: tuple[tuple[str, str], ...] = ()

    @property
    def parts(self) -> list[str]:
        """The folds' names, then those of the calibration and the test subset where there are such."""
        held = set(self.part.values())
        return [*(str(fold) for fold in range(self.folds)), *(name for name in (CALIBRATION, TEST) if name in held)]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of who lies where, the same for two splits that deal the same images alike."""
        text = json.dumps([sorted(self.part.items()), sorted(self.group.items())])
        return hashlib.sha256(text.encode()).hexdigest()

    def rows(self, table: pd.DataFrame, *parts: str) -> np.ndarray:
        """Row numbers, int (n,), of ``table`` whose image lies in one of ``parts``.

        Args:
            table: a validated catalog; images that are not in the split are left out.
            *parts: names of subsets: `test`, `calibration`, or a fold's number as text.
        """
        return np.flatnonzero(table["image_id"].map(self.part).isin(parts))


def check_split(split: Split, table: pd.DataFrame, where: str) -> None:
    """Refuse a split that does not belong to the catalog, divides a group, or leaves a part without an image.

    The thesis protocol divides lesions: `leaking_images` counts how many.

    Args:
        split: to check.
        table: the catalog that it should be of.
        where: what errors call it.

    Raises:
        DataError: one line naming the image or group.
    """
    if split.catalog != catalog_hash(table):
        raise DataError(f"{where}: was made from another catalog; make it anew with `selcn split`")
    parts = table.assign(part=table["image_id"].map(split.part), group=table["image_id"].map(split.group))
    strange = ~parts["part"].isin([*split.parts, EXCLUDED]) | parts["group"].isna()
    if strange.any():
        raise DataError(
            f"{where}: image {parts.loc[strange, 'image_id'].iloc[0]} has no part; make it anew with `selcn split`"
        )
    empty = set(split.parts) - set(parts["part"])
    if empty:
        raise DataError(f"{where}: part {min(empty)} holds no image; use fewer folds")
    units = [parts["group"]] if split.protocol is Protocol.THESIS else [parts["group"], groups(table, split.duplicates)]
    for unit in units:
        spread = parts[parts["part"] != EXCLUDED].groupby(unit)["part"].nunique()
        if (spread > 1).any():
            raise DataError(
                f"{where}: {spread.idxmax()} is divided between parts, which leaks; make it anew with `selcn split`"
            )


def leaking_images(split: Split, table: pd.DataFrame) -> dict[str, int]:
    """Images of each subset whose patient, lesion or duplicate lies in another subset too; 0 everywhere but by image.

    Args:
        split: of the catalog.
        table: a validated catalog.
    """
    parts = pd.DataFrame({"unit": groups(table, split.duplicates), "part": table["image_id"].map(split.part)})
    parts = parts[parts["part"] != EXCLUDED]
    shared = parts.groupby("unit")["part"].transform("nunique") > 1
    return {name: int((shared & (parts["part"] == name)).sum()) for name in split.parts}


def count_table(split: Split, table: pd.DataFrame) -> pd.DataFrame:
    """Images and groups of each subset, and its images of each diagnosis and symmetry.

    Args:
        split: of the catalog.
        table: a validated catalog.
    """
    parts = table.assign(group=table["image_id"].map(split.group), part=table["image_id"].map(split.part))
    totals = parts.groupby("part").agg(images=("image_id", "size"), groups=("group", "nunique"))
    classes = [
        pd.crosstab(parts["part"], parts[name]).drop(columns="", errors="ignore") for name in ("diagnosis", "symmetry")
    ]
    names = [*split.parts, *([EXCLUDED] if EXCLUDED in totals.index else [])]
    return pd.concat([totals, *classes], axis=1).reindex(names).fillna(0).astype(int)


def write_split(split: Split, table: pd.DataFrame, path: Path) -> None:
    """Write the split as JSON, counts included, under a temporary name and rename it.

    Args:
        split: of the catalog.
        table: a validated catalog.
        path: the file to write.
    """
    head = {
        "protocol": split.protocol,
        "folds": split.folds,
        "seed": split.seed,
        "catalog": split.catalog,
        "fingerprint": split.fingerprint,
        "counts": count_table(split, table).to_dict(orient="index"),
        "leaking": leaking_images(split, table),
        "duplicates": split.duplicates,
    }
    images = {image: {"part": part, "group": split.group[image]} for image, part in split.part.items()}
    write_text(path, json.dumps({**head, "images": images}, indent=1))


def read_split(path: Path, table: pd.DataFrame) -> Split:
    """Read a split and check it against its catalog.

    Args:
        path: the file.
        table: the catalog that it is of.

    Raises:
        DataError: unreadable, a key is missing, it was edited, or `check_split` refuses it.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        split = Split(
            Protocol.parse(tree["protocol"]),
            {image: str(row["part"]) for image, row in tree["images"].items()},
            {image: str(row["group"]) for image, row in tree["images"].items()},
            int(tree["folds"]),
            int(tree["seed"]),
            str(tree["catalog"]),
            tuple((str(one), str(other)) for one, other in tree["duplicates"]),
        )
        recorded = tree["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a split file ({error!r:.80}); make one with `selcn split`") from None
    strangers = {image for pair in split.duplicates for image in pair} - set(split.part)
    if recorded != split.fingerprint or strangers:
        raise DataError(f"{path}: was edited after it was made; make it anew with `selcn split`")
    check_split(split, table, str(path))
    return split
