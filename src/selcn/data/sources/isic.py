"""The ISIC challenges of 2016 to 2024 and exports of the ISIC archive, told apart by what their tables hold."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pandas as pd

from selcn.data.discovery import TABLE_SUFFIXES, by_name, masks_by_name, sort_files, walk_all
from selcn.data.naming import image_name
from selcn.data.sources.indexed import Indexed, make_catalog, nonzero
from selcn.data.sources.registry import SourceSpec, register_source
from selcn.errors import DataError, listed
from selcn.io.cells import other_case
from selcn.io.tables import lines, read_table
from selcn.labels import UNKNOWN, find_concept, lineage

SMALLER = "_downsampled"
IMAGE = re.compile(rf"ISIC_\d{{7}}({SMALLER})?")
MASK = re.compile(r"ISIC_\d{7}_segmentation", re.IGNORECASE)
LEVEL = re.compile(r"(diagnosis|iddx)(_[1-5])?")
"""Columns of diagnoses: of archive exports and of the challenges of 2020 and 2024."""
NOT_LABELS = "sample_submission"
"""How the name of a table of Kaggle begins that calls every test image benign."""
KEYS = ("isic_id", "image_name", "image_id", "image")
ONE_HOT = {
    "MEL": "melanoma",
    "NV": "nevus",
    "BCC": "basal cell carcinoma",
    "AKIEC": "akiec",
    "AK": "actinic keratosis",
    "BKL": "benign keratosis",
    "DF": "dermatofibroma",
    "VASC": "vascular lesion",
    "SCC": "squamous cell carcinoma",
    "UNK": "UNK",
}
ONE_HOT_2017 = {"melanoma": "melanoma", "seborrheic_keratosis": "seborrheic keratosis", "neither": "nevus"}
BINARY_COLUMNS = ("benign_malignant", "target", "malignant")
# Of 2016, 2020 and 2024, which say no more of some images.
BINARY = {
    "benign": "benign",
    "malignant": "malignant",
    "0.0": "benign",
    "1.0": "malignant",
    "0": "benign",
    "1": "malignant",
    "False": "benign",
    "True": "malignant",
}
COMMON = {
    "age_approx": "age",
    "age_approximate": "age",
    "anatom_site_general": "site",
    "anatom_site_general_challenge": "site",
}


def index_isic(paths: Iterable[Path]) -> Indexed:
    """Any of the ISIC layouts as a catalog; every image is a row, with what the tables know of it.

    Read are one-hot tables (2017 part 3, 2018 task 3, 2019), the table without header of 2016, tables that carry a
    column of diagnoses (2020, 2024, archive exports), and tables that only add columns (lesion groupings, metadata).
    Where one table says `malignant` of an image and another `melanoma`, the finer diagnosis counts.
    An image `ISIC_0000002_downsampled` is image ISIC_0000002. Lesion masks are `ISIC_0000002_segmentation.png`.

    Args:
        paths: folders and files that together hold images, masks and tables.

    Raises:
        DataError: no ISIC images, rows that are not one-hot or name no ISIC image, or tables that contradict another.
    """
    folders = list(paths)
    files = walk_all(folders)
    found = sort_files(files, folders)
    image_of = by_name((file for file in found.images if IMAGE.fullmatch(image_name(file))), ending=SMALLER)
    where = ", ".join(map(str, folders))
    if not image_of:
        raise DataError(f"{where}: holds no images named ISIC_0000000; give the folders that hold them")
    mask_of = masks_by_name(file for file in found.masks if MASK.fullmatch(image_name(file)))
    tables = [file for file in files if file.suffix.lower() in TABLE_SUFFIXES and not file.name.startswith(NOT_LABELS)]
    known, source, unread = _known(tables)
    rows = known.reindex(sorted(image_of)).fillna("").rename_axis("image_id").reset_index()
    rows = rows.assign(
        image_path=[str(image_of[name]) for name in rows["image_id"]],
        mask_path=[str(mask_of.get(name, "")) for name in rows["image_id"]],
        source=source,
    )
    used = [*mask_of.values(), *tables]
    notes = {"labels without an image": len(set(known.index) - set(image_of)), **_left(unread), **found.notes(used)}
    return Indexed(make_catalog(rows, where), nonzero(notes))


def _left(unread: Mapping[Path, list[str]]) -> dict[str, int]:
    """A note on each table that is not read."""
    keys = " or ".join(KEYS)
    return {
        f"tables not read: {path.name} has no column {keys}, but {', '.join(columns)}": 1
        for path, columns in unread.items()
    }


def _known(tables: Iterable[Path]) -> tuple[pd.DataFrame, str, dict[Path, list[str]]]:
    """What all tables together know, by image_id, the name of the source, and columns of tables without images."""
    known, source, faults, unread = pd.DataFrame(), "isic", [], {}
    for path in tables:
        rows, said = _read(path)
        if rows is None:
            unread[path] = list(read_table(path).columns)
            continue
        source = said or source
        both = known.index.intersection(rows.index)
        for column in known.columns.intersection(rows.columns):
            one, other = known.loc[both, column], rows.loc[both, column]
            clash = both[(one != other) & (one != "") & (other != "")]
            if column == "diagnosis":
                finer = {name: _finer(one[name], other[name]) for name in clash}
                known.loc[clash, column] = [finer[name] for name in clash]
                clash = [name for name in clash if not finer[name]]
            faults += [f"{path}: {name} has {column} {other[name]}, but {one[name]} elsewhere" for name in clash]
        # A column without any value would come back as one of numbers.
        known = known.replace("", pd.NA).combine_first(rows.replace("", pd.NA)).astype(object).fillna("")
    if faults:
        raise DataError(f"{listed(faults)}; give the tables of one data set")
    return known, source, unread


def _read(path: Path) -> tuple[pd.DataFrame | None, str]:
    """A table by image_id with its diagnosis as published, and what it is of; None where it is of no images."""
    rows = read_table(path)
    if len(rows.columns) == 2 and IMAGE.fullmatch(rows.columns[0]):
        rows = read_table(path, names=["image_id", "diagnosis"])
        return _keyed(rows.assign(diagnosis=_binary(rows, path)), "image_id", path), "isic-2016"
    rows = rows.rename(columns=other_case(rows.columns, KEYS))
    key = next((name for name in KEYS if name in rows.columns), None)
    if key is None or "image_path" in rows.columns:  # the latter being a catalog that was written here
        return None, ""
    rows = rows.rename(columns={theirs: ours for theirs, ours in COMMON.items() if ours not in rows.columns})
    upper = other_case(rows.columns, ONE_HOT)
    rows = rows.rename(columns=upper) if len(upper) > 2 else rows
    hot, hot_2017 = ([name for name in names if name in rows.columns] for names in (ONE_HOT, ONE_HOT_2017))
    if len(hot) > 2:
        diagnosis = [ONE_HOT[name] for name in one_hot(rows, hot, path)]
        source = "isic-2019" if "SCC" in hot else "isic-2018"
        return _keyed(rows.drop(columns=hot).assign(diagnosis=diagnosis), key, path), source
    if len(hot_2017) == 2:
        diagnosis = [ONE_HOT_2017[name] for name in one_hot(rows, hot_2017, path, neither="neither")]
        return _keyed(rows.drop(columns=hot_2017).assign(diagnosis=diagnosis), key, path), "isic-2017"
    levels = sorted((name for name in rows.columns if LEVEL.fullmatch(name)), reverse=True)
    levels += [name for name in BINARY_COLUMNS if name in rows.columns]
    if levels:
        diagnosis = [_most_specific(cells) for cells in rows[levels].itertuples(index=False, name=None)]
        return _keyed(rows.assign(diagnosis=diagnosis), key, path), _source(rows, key)
    return _keyed(rows, key, path), ""


def _source(rows: pd.DataFrame, key: str) -> str:
    """Of which challenge or export a table with a column of diagnoses is."""
    if key != "isic_id":
        return "isic-2020"
    return "isic-2024" if {"target", "malignant", "iddx_1"} & set(rows.columns) else "isic-archive"


def _keyed(rows: pd.DataFrame, key: str, path: Path) -> pd.DataFrame:
    strange = ~rows[key].map(lambda name: bool(IMAGE.fullmatch(image_name(name))))
    image_id = rows[key].map(lambda name: image_name(name).removesuffix(SMALLER))
    doubled = image_id.duplicated()
    faults = [
        f"line {line}: {name!r} {'is no ISIC image' if wrong else 'stands twice'}"
        for line, name, wrong, twice in zip(lines(rows), rows[key], strange, doubled, strict=True)
        if wrong or twice
    ]
    if faults:
        raise DataError(f"{path}: {listed(faults)}; correct the rows or remove the table")
    return rows.drop(columns=key).set_index(pd.Index(image_id, name="image_id"))


def _binary(rows: pd.DataFrame, path: Path) -> list[str]:
    wrong = ~rows["diagnosis"].isin(BINARY)
    _refuse(rows[wrong], path, "is neither benign nor malignant")
    return list(rows["diagnosis"].map(BINARY))


def one_hot(rows: pd.DataFrame, columns: list[str], path: Path, neither: str = "") -> list[str]:
    """The column that each row marks with a 1.

    Args:
        rows: as `read_table` returns them; what errors call a row is in the first column.
        columns: each 0 or 1, or False or True.
        path: what errors call the table.
        neither: returned of rows without a 1, which are refused where it is empty.

    Raises:
        DataError: rows are not one-hot; all are named.
    """
    truths = rows[columns].apply(lambda column: column.replace({"True": "1", "False": "0", "TRUE": "1", "FALSE": "0"}))
    numbers = truths.apply(pd.to_numeric, errors="coerce")
    ones = (numbers == 1).sum(axis=1)
    wrong = ~numbers.isin([0, 1]).all(axis=1) | (ones > 1) | ((ones == 0) & (not neither))
    _refuse(rows[wrong], path, f"is not one-hot over {', '.join(columns)}")
    return [best if one else neither for best, one in zip(numbers.idxmax(axis=1), ones, strict=True)]


def _refuse(wrong: pd.DataFrame, path: Path, fault: str) -> None:
    if len(wrong):
        faults = [f"line {line} ({name})" for line, name in zip(lines(wrong), wrong.iloc[:, 0], strict=True)]
        raise DataError(f"{path}: {listed(faults)} {fault}; correct the rows")


@cache
def _most_specific(levels: tuple[str, ...]) -> str:
    """Of the levels, the deepest first, the first that is a diagnosis; else the deepest that is given."""
    known = [BINARY.get(text, text) for text in levels if text]
    return next((text for text in known if find_concept(text) not in ("", UNKNOWN)), known[0] if known else "")


def _finer(one: str, other: str) -> str:
    """The finer of two diagnoses of an image; "" where they contradict each other.

    A word that is no known diagnosis gives way to one that is.
    """
    first, second = ([level for level in lineage(find_concept(word)) if level != UNKNOWN] for word in (one, other))
    if first and (not second or second[0] in first):
        return one
    return other if second and (not first or first[0] in second) else ""


register_source(
    SourceSpec(
        "isic",
        "ISIC challenges and archive",
        reads="the challenges of 2016 (masks of task 1, table without header of part 3), 2017 (part 3), 2018 (tasks 1 "
        "and 3), 2019 (one-hot over 8 classes and UNK, with metadata), 2020, 2024 (of Kaggle or of ISIC), and archive "
        "exports (`isic_id`, `diagnosis*`)",
        index=index_isic,
        licence="CC0, CC BY or CC BY-NC by image (ISIC Archive)",
    )
)
