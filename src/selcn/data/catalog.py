"""The table of images, one row an image, validated."""

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from selcn.errors import DataError
from selcn.files import written_whole
from selcn.labels import Diagnosis, Symmetry

COLUMNS = ["image_id", "image_path", "mask_path", "lesion_id", "patient_id", "diagnosis", "symmetry", "source"]


def read_catalog(path: Path) -> pd.DataFrame:
    """Read and validate a catalog; every cell is a string, an empty one means unknown.

    Paths, in every column named `..._path`, come back joined to the catalog's folder.

    Raises:
        DataError: unreadable, a column is missing, or rows are wrong; all faulty rows are named at once.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: cannot be read as a catalog ({error}); make one with `selcn index`") from None
    table = complete_catalog(table, str(path))
    for column in _path_columns(table):
        table[column] = [str(path.parent / name) if name else "" for name in table[column]]
    return table


def complete_catalog(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Add the optional columns that are missing, put all in order, and validate every row.

    Raises:
        DataError: a required column is missing or rows are wrong.
    """
    missing = {"image_id", "image_path"} - set(table.columns)
    if missing:
        raise DataError(f"{where}: column {', '.join(sorted(missing))} is missing; add it or use `selcn index`")
    if table.empty:
        raise DataError(f"{where}: holds no images; add rows or check the folder that was indexed")
    table = table.fillna("").astype(str).apply(lambda column: column.str.strip())
    extra = [column for column in table.columns if column not in COLUMNS]
    table = table.reindex(columns=[*COLUMNS, *extra], fill_value="")
    _validate(table, where)
    return table.reset_index(drop=True)


def write_catalog(table: pd.DataFrame, path: Path) -> None:
    """Write a catalog under a temporary name and rename it; paths inside its folder become relative."""
    table = table.copy()
    for column in _path_columns(table):
        table[column] = [_portable(name, path.parent) if name else "" for name in table[column]]
    with written_whole(path) as partial:
        table.to_csv(partial, index=False)


def groups(table: pd.DataFrame) -> pd.Series:
    """The unit that is never divided, of each image: patient, else lesion, else the image itself.

    Images that share a patient or a lesion, directly or through other images, are one group; so a lesion whose patient
    is known for some images only stays whole. The group's name carries its kind: a lesion and a patient that are called
    alike stay apart.
    """
    images = np.arange(len(table))
    links = [
        (images[(table[unit] != "").to_numpy()], len(table) + pd.factorize(table.loc[table[unit] != "", unit])[0])
        for unit in ("patient_id", "lesion_id")
    ]
    links[1] = (links[1][0], links[1][1] + len(table))
    ends = [np.concatenate(side) for side in zip(*links, strict=True)]
    graph = coo_array((np.ones(len(ends[0])), tuple(ends)), shape=(3 * len(table), 3 * len(table)))
    component = pd.Series(connected_components(graph, directed=False)[1][: len(table)], index=table.index)
    name = "image:" + table["image_id"]
    for kind in ("lesion", "patient"):
        known = (kind + ":" + table[f"{kind}_id"]).where(table[f"{kind}_id"] != "")
        name = known.groupby(component).transform("min").fillna(name)
    return name


def catalog_hash(table: pd.DataFrame) -> str:
    """SHA-256 of what a split depends on: ids, groups and labels, in any row order; paths do not enter."""
    rows = table.assign(group=groups(table))[["image_id", "group", "diagnosis", "symmetry"]]
    text = rows.sort_values("image_id").to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def _path_columns(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if name.endswith("_path")]


def _portable(name: str, folder: Path) -> str:
    absolute = Path(os.path.abspath(name))  # noqa: PTH100 - resolve() would follow symlinks out of the folder
    parent = Path(os.path.abspath(folder))  # noqa: PTH100
    return absolute.relative_to(parent).as_posix() if absolute.is_relative_to(parent) else absolute.as_posix()


def _validate(table: pd.DataFrame, where: str) -> None:
    faults = [
        *_faulty(table["image_id"], lambda name: not name, "image_id is empty"),
        *_faulty(table["image_path"], lambda name: not name, "image_path is empty"),
        *_unknown(table["diagnosis"], Diagnosis.names()),
        *_unknown(table["symmetry"], Symmetry.names()),
    ]
    doubled = table.index[table["image_id"].duplicated() & (table["image_id"] != "")]
    faults += [(row, f"image_id {table['image_id'][row]!r} stands twice; keep one row an image") for row in doubled]
    if faults:
        raise DataError(f"{where}: {_listed(sorted(faults))}")


def _unknown(column: "pd.Series[str]", known: list[str]) -> list[tuple[int, str]]:
    allowed = {*known, ""}
    hint = f"use one of {' '.join(known)} or leave it empty"
    return [
        (row, f"unknown {column.name} {value!r}; {hint}") for row, value in enumerate(column) if value not in allowed
    ]


def _faulty(column: "pd.Series[str]", wrong: Callable[[str], bool], fault: str) -> list[tuple[int, str]]:
    return [(row, f"{fault}; fill it in or remove the row") for row, value in enumerate(column) if wrong(value)]


def _listed(faults: Iterable[tuple[int, str]], most: int = 5) -> str:
    # Row numbers are those a person sees in a spreadsheet: the header is row 1.
    lines = [f"row {row + 2}: {fault}" for row, fault in faults]
    more = f" | and {len(lines) - most} more rows" if len(lines) > most else ""
    return " | ".join(lines[:most]) + more
