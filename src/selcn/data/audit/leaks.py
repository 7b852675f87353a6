"""What leaks in a split, and between several splits."""

import json
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path, PurePosixPath

import pandas as pd

from selcn.data.audit.findings import Finding
from selcn.data.catalog import groups
from selcn.data.duplicates import Duplicate
from selcn.data.naming import IMAGE_SUFFIXES
from selcn.data.splits.split import EXCLUDED
from selcn.errors import DataError
from selcn.io.tables import read_table
from selcn.labels import TEST

Parts = Mapping[str, frozenset[str]]
"""The parts that each image lies in; one, where all is well."""


def read_parts(path: Path) -> dict[str, frozenset[str]]:
    """The parts of each image of a split, however faulty: of `selcn split`, or a CSV with ``image_id`` and ``part``.

    A part is `test`, a fold's number or another name such as `train`; `excluded` is none. Of a CSV an image_id may be a
    file name.

    Args:
        path: the split's file; one that does not end in `.json` is read as CSV.

    Raises:
        DataError: neither; the line says what is missing.
    """
    if path.suffix.lower() != ".json":
        rows = read_table(path, ["image_id", "part"])
        pairs = list(zip(map(_image_id, rows["image_id"]), rows["part"].str.lower(), strict=True))
    else:
        try:
            images = json.loads(path.read_text(encoding="utf-8"))["images"]
            pairs = [(str(image), str(row["part"])) for image, row in images.items()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: not a split ({error!r:.80}); give a file of `selcn split`, or a CSV with image_id and part"
            ) from None
    parts: dict[str, set[str]] = {}
    for image, part in pairs:
        parts.setdefault(image, set()).update({part} - {EXCLUDED, ""})
    return {image: frozenset(of) for image, of in parts.items()}


def leak_findings(table: pd.DataFrame, duplicates: Iterable[Duplicate], splits: Mapping[str, Parts]) -> list[Finding]:
    """All that is shared between parts that must not share it, within each split and between splits.

    Args:
        table: a validated catalog.
        duplicates: its duplicates.
        splits: parts by image of each split, by the name of the split or of what it serves.
    """
    units = _units(table, duplicates)
    frames = {name: _frame(table, parts) for name, parts in splits.items()}
    found = [finding for name, parts in splits.items() for finding in _coverage(table, name, parts)]
    for name, frame in frames.items():
        for what, unit in units.items():
            found += _inside(frame, unit, what, name)
    for (one, first), (other, second) in combinations(frames.items(), 2):
        for what, unit in units.items():
            found += _between(first, second, unit, what, (one, other))
    return found


def _image_id(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else name


def _units(table: pd.DataFrame, duplicates: Iterable[Duplicate]) -> dict[str, pd.Series]:
    """What must not be shared: by image_id its unit of each kind, where that is known."""
    by_image = table.set_index("image_id")
    pairs = [(pair.first, pair.second) for pair in duplicates]
    alone = table.assign(lesion_id="", patient_id="")
    units = {
        "image": pd.Series(by_image.index, by_image.index),
        "lesion": by_image["lesion_id"],
        "patient": by_image["patient_id"],
        "duplicate": pd.Series(groups(alone, pairs).to_numpy(), by_image.index),
    }
    copied = {image for pair in pairs for image in pair}
    units["duplicate"] = units["duplicate"][units["duplicate"].index.isin(copied)]
    return {what: unit[unit != ""] for what, unit in units.items()}


def _frame(table: pd.DataFrame, parts: Parts) -> pd.DataFrame:
    """A row for each image of the catalog and part of it."""
    pairs = [(image, part) for image in table["image_id"] for part in sorted(parts.get(image, frozenset()))]
    return pd.DataFrame(pairs, columns=["image_id", "part"], dtype=str)


def _coverage(table: pd.DataFrame, name: str, parts: Parts) -> list[Finding]:
    known = set(table["image_id"])
    partial = tuple(image for image in table["image_id"] if image not in parts)
    strange = tuple(image for image in parts if image not in known)
    found = []
    if partial:
        found.append(Finding("split-partial", partial, f"{name}: {len(partial)} of {len(table)} images have no part"))
    if strange:
        found.append(Finding("split-strange", strange, f"{name}: {len(strange)} images are not in the catalog"))
    return found


def _inside(frame: pd.DataFrame, unit: pd.Series, what: str, name: str) -> list[Finding]:
    """Units that lie in several parts of one split."""
    rows = frame.assign(unit=frame["image_id"].map(unit)).dropna(subset="unit")
    parts = rows.groupby("unit")["part"]
    shared = rows[parts.transform("nunique") > 1]
    tested = shared["unit"].isin(shared.loc[shared["part"] == TEST, "unit"])
    found = []
    for kind, of in (("leak-test", shared[tested]), ("leak-fold", _in_several(shared[shared["part"] != TEST]))):
        if len(of):
            where = "of its test part train too" if kind == "leak-test" else "lie in several folds"
            images = of[of["part"] == TEST] if kind == "leak-test" else of
            found.append(_finding(kind, images, of["unit"].nunique(), what, f"{name}: {{}} {where}"))
    return found


def _in_several(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows.groupby("unit")["part"].transform("nunique") > 1]


def _between(
    first: pd.DataFrame, second: pd.DataFrame, unit: pd.Series, what: str, names: tuple[str, str]
) -> list[Finding]:
    """Units that one split tests and another trains on, and units that two splits hold out in different folds."""
    one, other = (frame.assign(unit=frame["image_id"].map(unit)).dropna(subset="unit") for frame in (first, second))
    found = []
    for tests, trains, (name, elsewhere) in ((one, other, names), (other, one, names[::-1])):
        tested, trained = tests[tests["part"] == TEST], trains[trains["part"] != TEST]
        shared = tested[tested["unit"].isin(trained["unit"])]
        if len(shared):
            text = f"{{}} of the test part of {name} train in {elsewhere}"
            found.append(_finding("leak-stage", shared, shared["unit"].nunique(), what, text))
    both = pd.concat([one, other])
    folds = _in_several(
        both[(both["part"] != TEST) & both["unit"].isin(one["unit"]) & both["unit"].isin(other["unit"])]
    )
    if len(folds):
        text = f"{{}} have another fold in {names[0]} than in {names[1]}"
        found.append(_finding("leak-stage", folds, folds["unit"].nunique(), what, text))
    return found


def _finding(kind: str, images: pd.DataFrame, units: int, what: str, text: str) -> Finding:
    image_ids = tuple(dict.fromkeys(images["image_id"]))
    count = f"{units} {what}s" if what == "image" else f"{units} {what}s ({len(image_ids)} images)"
    return Finding(kind, image_ids, text.format(count))
