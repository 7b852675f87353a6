"""Several catalogs -> one; an image that stands in several of them is one row."""

import filecmp
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.data.catalog import complete_catalog, read_catalog
from selcn.data.duplicates import read_fingerprint
from selcn.data.sources.indexed import Indexed
from selcn.data.sources.registry import SourceSpec, register_source
from selcn.errors import DataError, listed
from selcn.io.files import sha256
from selcn.io.threads import thread_count
from selcn.labels import lineage

FACTS = ("lesion_id", "patient_id", "diagnosis", "symmetry")
MIN_CORRELATION = 0.9
"""Correlation of two thumbnails above which files of one image_id may show the same photograph."""
_FROM = "merged from"


def merge_catalogs(
    catalogs: Sequence[tuple[str, pd.DataFrame]], *, on_progress: Callable[[int, int], None] | None = None
) -> Indexed:
    """Concatenate catalogs; images of one image_id, or of byte-identical files, become one row.

    What the first catalog leaves empty is filled from the next that knows it; so are `symmetric` by a label that names
    the axes, and a diagnosis by one that is a kind of it.

    Args:
        catalogs: name and table of each.
        on_progress: called with images compared, and images that stand in several catalogs with different files.

    Raises:
        DataError: rows of one image contradict each other, or files of one image_id show two photographs;
            all are named.
    """
    table = pd.concat([rows.assign(**{_FROM: name}) for name, rows in catalogs], ignore_index=True).fillna("")
    _refuse(_two_pictures(table, on_progress or (lambda _done, _total: None)))
    image = _same_content(table)
    table["symmetry"] = _finest_symmetry(table["symmetry"], image)
    table["diagnosis"] = _finest_diagnosis(table["diagnosis"], image)
    _refuse([fault for fact in FACTS for fault in _contradictions(table, image, fact)])
    merged = table.drop(columns=_FROM).replace("", pd.NA).groupby(image, sort=False).first()
    merged["image_id"] = merged.index
    ids = table["image_id"].nunique()
    notes = {
        "rows joined by image_id": len(table) - ids,
        "image_ids joined by content": ids - len(merged),
    }
    where = " and ".join(name for name, _ in catalogs)
    return Indexed(complete_catalog(merged.fillna(""), where), {what: count for what, count in notes.items() if count})


def _index(paths: Iterable[Path], *, on_progress: Callable[[int, int], None] | None = None) -> Indexed:
    return merge_catalogs([(str(path), read_catalog(path)) for path in paths], on_progress=on_progress)


def _same_content(table: pd.DataFrame) -> pd.Series:
    """The image_id that each row goes by: its own, or that of the first row whose file is the same, byte for byte.

    Same files within one catalog stay two rows: which of them is right is for the audit to say.
    """
    firsts = table.drop_duplicates("image_id")
    sizes = firsts["image_path"].map(_size)
    suspect = firsts[sizes.duplicated(keep=False) & (sizes >= 0)]
    with ThreadPoolExecutor(thread_count()) as pool:
        digests = pd.Series(list(pool.map(sha256, map(Path, suspect["image_path"]))), index=suspect.index, dtype=str)
    first = suspect.groupby(digests)[["image_id", _FROM]].transform("first")
    joined = first[_FROM] != suspect[_FROM]
    return table["image_id"].replace(dict(zip(suspect["image_id"][joined], first["image_id"][joined], strict=True)))


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:  # the audit's matter
        return -1


def _two_pictures(table: pd.DataFrame, on_progress: Callable[[int, int], None]) -> list[str]:
    """Faults of images whose files are neither the same nor near-duplicates."""
    paths = table.drop_duplicates(["image_id", "image_path"]).groupby("image_id")["image_path"].agg(list)
    several = paths[paths.map(len) > 1]

    different = []
    with ThreadPoolExecutor(thread_count()) as pool:
        for done, differs in enumerate(pool.map(_differ, several), start=1):
            different.append(differs)
            on_progress(done, len(several))
    wrong = several[np.array(different, dtype=bool)]
    return [f"image_id {name} is two images, {' and '.join(files)}" for name, files in wrong.items()]


def _differ(files: list[str]) -> bool:
    """Whether a file shows another photograph than the first; the audit tells of those that cannot be read."""
    try:
        if all(filecmp.cmp(files[0], file, shallow=False) for file in files[1:]):
            return False
    except OSError:
        pass
    first, *others = [grey for grey in map(_look, files) if grey is not None] or [np.empty(0)]
    return any(not _alike(first, other) for other in others)


def _look(path: str) -> np.ndarray | None:
    try:
        return read_fingerprint(Path(path)).thumbnail.astype(float).ravel()
    except DataError:
        return None


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    one, other = one - one.mean(), other - other.mean()
    norm = np.linalg.norm(one) * np.linalg.norm(other)
    return bool(norm == 0 or one @ other / norm > MIN_CORRELATION)


def _finest_symmetry(symmetry: "pd.Series[str]", image: pd.Series) -> "pd.Series[str]":
    """Symmetries without those `symmetric` of which another row of the image names the axes."""
    coarse = symmetry == "symmetric"
    finer = symmetry.where(symmetry.str.contains("-"), "").groupby(image).transform("max") != ""
    return symmetry.mask(coarse & finer, "")


def _finest_diagnosis(diagnosis: "pd.Series[str]", image: pd.Series) -> "pd.Series[str]":
    """Diagnoses without those, such as bkl, of which another row of the image names the kind."""
    above = {name: frozenset(lineage(name)[1:]) for name in diagnosis.unique()}
    finer: dict[str, set[str]] = defaultdict(set)
    for key, name in zip(image, diagnosis, strict=True):
        finer[key] |= above[name]
    coarse = [name in finer[key] for key, name in zip(image, diagnosis, strict=True)]
    return diagnosis.mask(np.array(coarse, dtype=bool), "")


def _contradictions(table: pd.DataFrame, image: pd.Series, fact: str) -> list[str]:
    known = table[table[fact] != ""]
    several = known.groupby(image)[fact].transform("nunique") > 1
    said = known[fact] + " (" + known[_FROM] + ")"
    return [f"{name} has {fact} {' and '.join(rows)}" for name, rows in said[several].groupby(image)]


def _refuse(faults: list[str]) -> None:
    if faults:
        raise DataError(f"{listed(faults)}; correct the catalogs or leave one out")


register_source(
    SourceSpec(
        "merge",
        "several catalogs",
        takes="CATALOG...",
        reads="catalogs joined by image_id and by the content of the files",
        index=_index,
    )
)
