"""Derm7pt, the seven-point checklist data set (Kawahara et al. 2019)."""

from collections.abc import Iterable
from pathlib import Path

from selcn.data.discovery import TABLE_SUFFIXES, sort_files, walk_all
from selcn.data.sources.indexed import Indexed, make_catalog, nonzero
from selcn.data.sources.registry import SourceSpec, register_source
from selcn.errors import DataError, listed
from selcn.io.tables import lines, read_table

TABLE = "meta.csv"
SUBSETS = ("train", "valid", "test")


def index_derm7pt(paths: Iterable[Path], *, skip_missing: bool = False) -> Indexed:
    """Derm7pt as a catalog of its dermoscopic images, a row a case; each case is one lesion.

    The seven criteria and all else that the table knows are further columns; `clinical_path` is the photograph of the
    same lesion. The source is `derm7pt-train`, `derm7pt-valid` or `derm7pt-test` where the published subsets are there.

    Args:
        paths: folders and files that together hold `meta.csv`, the images and, optionally, `train_indexes.csv` ...
        skip_missing: whether rows without an image are left out; they are refused otherwise.

    Raises:
        DataError: no or several tables, a column is missing, or images are missing.
    """
    folders = list(paths)
    files = walk_all(folders)
    tables = [file for file in files if file.name.lower() == TABLE]
    if len(tables) != 1:
        raise DataError(f"{', '.join(map(str, folders))}: {len(tables)} tables {TABLE} found; one is needed")
    rows = read_table(tables[0], ["case_num", "diagnosis", "derm", "clinic"])
    found = sort_files(files, folders)
    # The table and the files agree in letters but, after a stay on another system, not always in their case.
    file_of = {_key(file.as_posix()): file for file in found.images}
    rows["subset"] = _sources(files, len(rows))
    there = rows["derm"].map(_key).isin(file_of)
    skipped = int((~there).sum()) if skip_missing else 0
    rows = rows[there] if skip_missing else rows
    derm = [file_of.get(_key(name)) for name in rows["derm"]]
    absent = [
        f"{name} of line {line}" for name, line, file in zip(rows["derm"], lines(rows), derm, strict=True) if not file
    ]
    if absent:
        raise DataError(
            f"{tables[0]}: {listed(absent)}: no such image below the folders; add their folder, "
            "or leave them out with --skip-missing"
        )
    known = rows.rename(columns={"location": "site"}).drop(columns=["derm", "clinic", "subset"])
    catalog = known.assign(
        image_id=[Path(name).stem for name in rows["derm"]],
        image_path=[str(file) for file in derm],
        clinical_path=[str(file_of.get(_key(name), "")) for name in rows["clinic"]],
        lesion_id="derm7pt-" + rows["case_num"],
        source=rows["subset"],
    )
    read = [file for file in found.others if file.suffix.lower() in TABLE_SUFFIXES]
    notes = {"rows skipped, whose image is not there": skipped, **found.notes(read)}
    return Indexed(make_catalog(catalog, str(tables[0])), nonzero(notes))


def _key(path: str) -> str:
    """Folder and name, by which the table calls an image."""
    return "/".join(path.lower().split("/")[-2:])


def _sources(files: list[Path], count: int) -> list[str]:
    """The source of each row, from the published subsets' tables of row numbers, which count from 0."""
    subset_of = {
        number: f"derm7pt-{subset}"
        for subset in SUBSETS
        for path in files
        if path.name.lower() == f"{subset}_indexes.csv"
        for number in read_table(path, ["indexes"])["indexes"]
    }
    return [subset_of.get(str(row), "derm7pt") for row in range(count)]


register_source(
    SourceSpec(
        "derm7pt",
        "Derm7pt (Kawahara et al. 2019)",
        reads="`meta/meta.csv` of `release_v0` and the dermoscopic images; criteria of the seven-point checklist as "
        "further columns, the published subsets as sources `derm7pt-train`, `-valid`, `-test`",
        index=index_derm7pt,
        licence="academic research only, images not to be redistributed (Kawahara et al. 2019)",
    )
)
