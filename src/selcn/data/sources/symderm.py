"""SymDerm v2's symmetry labels, joined to catalogs that hold the images."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from selcn.data.catalog import read_catalog
from selcn.data.sources.indexed import Indexed
from selcn.data.sources.merge import merge_catalogs
from selcn.data.sources.registry import SourceSpec, register_source
from selcn.errors import ConfigError, DataError, listed
from selcn.io.progress import OnProgress
from selcn.io.tables import lines, read_table
from selcn.labels import SYMMETRY, SYMMETRY_BINARY

LABEL = "labels_symmetry"
THREE = dict(zip("012", SYMMETRY.names, strict=True))
TWO = dict(zip("01", SYMMETRY_BINARY.names, strict=True))


def index_symderm(paths: Iterable[Path], *, on_progress: OnProgress | None = None) -> Indexed:
    """Catalogs joined, with the symmetry labels of their images.

    Args:
        paths: label CSVs (see `join_symmetry`) and catalogs, in any order.
        on_progress: see `merge_catalogs`.

    Raises:
        ConfigError: no label CSV or no catalog is given.
        DataError: as for `merge_catalogs` and `join_symmetry`.
    """
    files = list(paths)
    labels = [path for path in files if LABEL in read_table(path).columns]
    catalogs = [(str(path), read_catalog(path)) for path in files if path not in labels]
    if not labels or not catalogs:
        raise ConfigError("index symderm: give a label CSV and the catalogs that hold its images")
    merged = merge_catalogs(catalogs, on_progress=on_progress)
    joined = join_symmetry(merged.table, labels)
    return Indexed(joined.table, merged.notes | joined.notes)


def join_symmetry(table: pd.DataFrame, labels: Sequence[Path]) -> Indexed:
    """Add symmetry labels to the images they name: 0 asymmetric, 1 about one axis, 2 about two.

    A file without any 2 is one of two classes, in which 1 is symmetric about whatever axes; such a label gives way to
    one that names them.

    Args:
        table: a catalog, of all sources together.
        labels: CSV files with columns ``File, labels_symmetry`` and, for the notes, ``Dataset``.

    Raises:
        DataError: a file lacks a column, holds another label, contradicts another or the catalog (all rows are named),
            or none of them names an image of the catalog.
    """
    known: dict[str, str] = {}
    faults: list[str] = []
    absent: Counter[str] = Counter()
    held = dict(zip(table["image_id"], table["symmetry"], strict=True))
    for path in labels:
        for line, name, label, source in _labels(path):
            if name not in held and name not in known:
                absent[source] += 1
            first = known.get(name) or held.get(name)
            if first and not _agree(first, label):
                faults.append(f"{path}: line {line}: {name} is {label}, but {first} elsewhere")
            known[name] = first if first in SYMMETRY.names else label
    if faults:
        raise DataError(f"{listed(faults)}; correct one of each")
    if not known.keys() & held:
        files = ", ".join(map(str, labels))
        raise DataError(f"{files}: names none of the catalog's images; give the labels of these images")
    joined = table.assign(symmetry=table["image_id"].map(held | known))
    notes = {f"labels of {source or 'no source'} without an image": count for source, count in absent.items()}
    return Indexed(joined, notes)


def _labels(path: Path) -> list[tuple[int, str, str, str]]:
    """Line, image_id, label and source of each row."""
    rows = read_table(path, ["File", LABEL])
    names = THREE if (rows[LABEL] == "2").any() else TWO
    wrong = rows[~rows[LABEL].isin(names)]
    if len(wrong):
        faults = [f"line {line}: label {label!r}" for line, label in zip(lines(wrong), wrong[LABEL], strict=True)]
        raise DataError(f"{path}: {listed(faults)} is none of {', '.join(THREE)}; correct it")
    image_ids = [PurePosixPath(file.replace("\\", "/")).stem for file in rows["File"]]
    sources = list(rows["Dataset"]) if "Dataset" in rows else [""] * len(rows)
    return list(zip(lines(rows), image_ids, rows[LABEL].map(names), sources, strict=True))


def _agree(one: str, other: str) -> bool:
    return one == other or ("symmetric" in (one, other) and "asymmetric" not in (one, other))


register_source(
    SourceSpec(
        "symderm",
        "SymDerm v2, symmetry labels",
        takes="LABELS... CATALOG...",
        reads="symmetry labels of three or two classes, joined to the images of the catalogs",
        index=index_symderm,
    )
)
