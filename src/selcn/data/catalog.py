"""The table of images, one row an image, validated; and which images are never divided: patient, lesion."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from selcn.errors import DataError, listed
from selcn.io.cells import other_case
from selcn.io.files import written_whole
from selcn.io.storage import is_remote, joined
from selcn.io.tables import guarded, lines, read_table, whole_numbers, without_placeholders
from selcn.labels import SYMMETRIES

COLUMNS = ["image_id", "image_path", "mask_path", "lesion_id", "patient_id", "diagnosis", "symmetry", "source"]


def read_catalog(path: Path) -> pd.DataFrame:
    """Read and validate a catalog; every cell is a string, an empty one means unknown.

    Paths, in every column named `..._path`, come back joined to the catalog's folder; they may be addresses.

    Args:
        path: the CSV.

    Raises:
        DataError: unreadable, a column is missing, or rows are wrong; all faulty rows are named at once.
    """
    rows = read_table(path)
    table = complete_catalog(rows.rename(columns=other_case(rows.columns, COLUMNS)), str(path))
    for column in _path_columns(table):
        table[column] = [joined(path.parent, name) if name else "" for name in table[column]]
    return table


def complete_catalog(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Add the optional columns that are missing, put all in order, and validate every row.

    Args:
        table: rows with at least `image_id` and `image_path`; its index may hold their lines in a file.
        where: what errors call it.

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
    for column in ("mask_path", "lesion_id", "patient_id", "diagnosis", "symmetry", "source"):
        table[column] = without_placeholders(table[column])
    for column in ("image_id", "lesion_id", "patient_id"):
        table[column] = whole_numbers(table[column])
    _validate(table, where)
    return table.reset_index(drop=True)


def write_catalog(table: pd.DataFrame, path: Path) -> None:
    """Write a catalog under a temporary name and rename it; paths inside its folder become relative.

    Args:
        table: a validated catalog.
        path: the CSV to write; its folder is made.
    """
    table = table.copy()
    for column in _path_columns(table):
        table[column] = [_portable(name, path.parent) if name else "" for name in table[column]]
    with written_whole(path) as partial:
        guarded(table).to_csv(partial, index=False, lineterminator="\n")


def groups(table: pd.DataFrame, together: Iterable[tuple[str, str]] = ()) -> pd.Series:
    """The unit that is never divided, of each image: patient, else lesion, else the image itself.

    Images that share a patient or a lesion, directly or through other images, are one group; so a lesion whose patient
    is known for some images only stays whole. The group's name carries its kind: a lesion and a patient that are called
    alike stay apart.

    Args:
        table: a validated catalog.
        together: pairs of image_id that are one group too, such as duplicates.
    """
    row_of = pd.Series(np.arange(len(table)), index=table["image_id"])
    pairs = [(row_of[one], row_of[other]) for one, other in together]
    for unit in ("patient_id", "lesion_id"):
        known = table[table[unit] != ""]
        firsts = known.groupby(unit)["image_id"].transform("first")
        pairs += zip(row_of[known["image_id"]], row_of[firsts], strict=True)
    one, other = np.array(pairs, dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(table), len(table)))
    component = pd.Series(connected_components(graph, directed=False)[1], index=table.index)
    name = "image:" + table["image_id"].groupby(component).transform("min")
    for kind in ("lesion", "patient"):
        named = (kind + ":" + table[f"{kind}_id"]).where(table[f"{kind}_id"] != "")
        name = named.groupby(component).transform("min").fillna(name)
    return name


def draw_lesions(table: pd.DataFrame, lesions: int, seed: int) -> pd.DataFrame:
    """Keep about ``lesions`` lesions: class by class the same number, rare classes whole, labelled symmetry first.

    Every image of a kept lesion stays. Lesions are sampled in rounds, one of each diagnosis a round.

    Args:
        table: a validated catalog in which every image has a ``lesion_id``.
        lesions: how many to keep, at least 1.
        seed: of the order in which they are sampled.
    """
    order = np.random.default_rng(seed).permutation(len(table))
    shuffled = table.iloc[order]
    first = shuffled.assign(labelled=shuffled["symmetry"] != "").sort_values("labelled", ascending=False, kind="stable")
    first = first.drop_duplicates("lesion_id")
    first = first.assign(round=first.groupby("diagnosis").cumcount()).sort_values("round", kind="stable")
    return table[table["lesion_id"].isin(first["lesion_id"].head(lesions))].reset_index(drop=True)


def catalog_hash(table: pd.DataFrame) -> str:
    """SHA-256 of what a split depends on: ids, groups and labels, in any row order; paths do not enter.

    Args:
        table: a validated catalog.
    """
    rows = table.assign(group=groups(table))[["image_id", "group", "diagnosis", "symmetry"]]
    text = rows.sort_values("image_id").to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def _path_columns(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if name.endswith("_path")]


def _portable(name: str, folder: Path) -> str:
    if is_remote(name):
        return name
    absolute = Path(os.path.abspath(name))  # noqa: PTH100 - resolve() would follow symlinks out of the folder
    parent = Path(os.path.abspath(folder))  # noqa: PTH100
    return absolute.relative_to(parent).as_posix() if absolute.is_relative_to(parent) else absolute.as_posix()


def _validate(table: pd.DataFrame, where: str) -> None:
    line = pd.Series(lines(table), index=table.index)
    empty = [(name, table[name] == "") for name in ("image_id", "image_path")]
    faults = [(row, f"{name} is empty; fill it in or remove the row") for name, rows in empty for row in line[rows]]
    rows = ~table["symmetry"].isin([*SYMMETRIES, ""])
    hint = f"use one of {' '.join(SYMMETRIES)} or leave it empty"
    faults += [
        (row, f"unknown symmetry {value!r}; {hint}")
        for row, value in zip(line[rows], table["symmetry"][rows], strict=True)
    ]
    doubled = table["image_id"].duplicated() & (table["image_id"] != "")
    faults += [
        (row, f"image_id {value!r} stands twice; keep one row an image")
        for row, value in zip(line[doubled], table["image_id"][doubled], strict=True)
    ]
    if faults:
        raise DataError(f"{where}: {listed([f'line {row}: {fault}' for row, fault in sorted(faults)])}")
