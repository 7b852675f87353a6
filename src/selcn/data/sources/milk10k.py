"""MILK10k (Tschandl et al. 2025): two images a lesion, labels by lesion."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from selcn.data.discovery import TABLE_SUFFIXES, by_name, sort_files, walk_all
from selcn.data.naming import image_name
from selcn.data.sources.indexed import Indexed, make_catalog, nonzero
from selcn.data.sources.isic import IMAGE, one_hot
from selcn.data.sources.registry import SourceSpec, register_source
from selcn.errors import DataError, listed
from selcn.io.cells import other_case
from selcn.io.tables import lines, read_table
from selcn.labels import find_concept, lineage

CLASSES = ["AKIEC", "BCC", "BEN_OTH", "BKL", "DF", "INF", "MAL_OTH", "MEL", "NV", "SCCKA", "VASC"]
DERMOSCOPIC = "dermoscopic"


def index_milk10k(paths: Iterable[Path]) -> Indexed:
    """MILK10k as a catalog of its dermoscopic images; `clinical_path` is the close-up of the same lesion.

    A diagnosis is that of the ground truth, or the supplement's where that is a kind of it.

    Args:
        paths: folders and files that together hold images, metadata and, for training, ground truth and supplement.

    Raises:
        DataError: no metadata table, ground truth that is not one-hot or has a lesion twice, or no image is there.
    """
    folders = list(paths)
    files, where = walk_all(folders), ", ".join(map(str, folders))
    known, truth, published, unread = _tables(files)
    if known.empty:
        raise DataError(f"{where}: no table with lesion_id, isic_id and image_type; add MILK10k_Training_Metadata.csv")
    found = sort_files(files, folders)
    image_of = by_name(file for file in found.images if IMAGE.fullmatch(image_name(file)))
    dermoscopic, there = known["image_type"] == DERMOSCOPIC, known["isic_id"].isin(image_of)
    clinical = known[~dermoscopic & there].drop_duplicates("lesion_id").set_index("lesion_id")["isic_id"].map(image_of)
    rows = known[dermoscopic & there]
    if rows.empty:
        raise DataError(f"{where}: holds none of the dermoscopic images that its tables name; add their folder")
    rows = rows.rename(columns={"isic_id": "image_id", "age_approx": "age"}).assign(
        image_path=rows["isic_id"].map(image_of).astype(str),
        clinical_path=[str(clinical.get(lesion, "")) for lesion in rows["lesion_id"]],
        diagnosis=[
            _finer(truth.get(lesion, ""), published.get(image, ""))
            for lesion, image in zip(rows["lesion_id"], rows["isic_id"], strict=True)
        ],
        source="milk10k",
    )
    used = [file for file in found.others if file.suffix.lower() in TABLE_SUFFIXES]
    notes = {
        "rows without their dermoscopic image": int((dermoscopic & ~there).sum()),
        **{f"tables not read, of another layout: {path.name}": 1 for path in unread},
        **found.notes(used),
    }
    return Indexed(make_catalog(rows, where), nonzero(notes))


def _tables(files: Iterable[Path]) -> tuple[pd.DataFrame, dict[str, str], dict[str, str], list[Path]]:
    """Metadata of all images, truth by lesion, the supplement's diagnosis by image, and tables that are neither."""
    metadata, unread = [pd.DataFrame()], list[Path]()
    truth: dict[str, str] = {}
    published: dict[str, str] = {}
    for path in (file for file in files if file.suffix.lower() in TABLE_SUFFIXES):
        rows = read_table(path)
        rows = rows.rename(columns=other_case(rows.columns, ["lesion_id", "isic_id", *CLASSES]))
        if "isic_id" in rows:
            rows["isic_id"] = rows["isic_id"].map(image_name)
        columns = set(rows.columns)
        if {"lesion_id", *CLASSES} <= columns:
            twice = rows[rows["lesion_id"].duplicated()]
            if len(twice):
                faults = [f"line {line}: {name}" for line, name in zip(lines(twice), twice["lesion_id"], strict=True)]
                raise DataError(f"{path}: {listed(faults)} stands twice; keep one row a lesion")
            truth |= dict(zip(rows["lesion_id"], one_hot(rows, CLASSES, path), strict=True))
        elif {"lesion_id", "isic_id", "image_type"} <= columns:
            metadata.append(rows)
        elif {"isic_id", "diagnosis_full"} <= columns:
            published |= dict(zip(rows["isic_id"], rows["diagnosis_full"], strict=True))
        else:
            unread.append(path)
    return pd.concat(metadata, ignore_index=True).fillna(""), truth, published, unread


def _finer(truth: str, published: str) -> str:
    return published if find_concept(truth) in lineage(find_concept(published)) else truth


register_source(
    SourceSpec(
        "milk10k",
        "MILK10k (Tschandl et al. 2025)",
        reads="`MILK10k_*_Metadata.csv`, `_GroundTruth.csv` (one-hot over 11 classes, by lesion), `_Supplement.csv`, "
        "and the dermoscopic one of each lesion's two images",
        index=index_milk10k,
        licence="CC BY-NC 4.0 (Tschandl et al. 2025)",
    )
)
