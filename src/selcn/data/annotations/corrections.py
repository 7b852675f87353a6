"""People's annotations back into a catalog, with who said what, and what stood there before.

A mask is written as PNG beside the new catalog; the columns `mask_by`, `diagnosis_by` ... name who gave what. A word
that is coarser than the catalog's confirms it: `bkl` does not overwrite `solar-lentigo`, nor `symmetric` `one-axis`.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from selcn.data.annotations.coco import read_coco
from selcn.data.annotations.label_studio import read_label_studio
from selcn.data.annotations.record import Annotation
from selcn.data.imaging.prepare import resize
from selcn.data.imaging.read import read_mask, write_image
from selcn.data.naming import image_name
from selcn.errors import DataError, listed
from selcn.io.files import sha256
from selcn.labels import SYMMETRIES, SYMMETRY_BINARY, find_concept, lineage

ADDED, CONFIRMED, CHANGED = "added", "confirmed", "changed"
COLUMNS = ["image_id", "column", "change", "before", "after", "iou", "by", "when", "file", "sha256"]
BY = "_by"


@dataclass(frozen=True, eq=False)
class AnnotationFile:
    """What a file of an annotation tool holds.

    Attributes:
        path: of the file.
        annotations: of the images that have any.
        without: how many images have none.
        several: how many have more than one, of which the newest counts.
    """

    path: Path
    annotations: list[Annotation]
    without: int
    several: int = 0


def read_annotations(path: Path, column: str = "diagnosis", by: str | None = None) -> AnnotationFile:
    """Read a file of COCO or an export of Label Studio as JSON, told apart by what it holds.

    Args:
        path: of the file.
        column: of the catalog that COCO's categories mean where they do not tell it.
        by: who annotated; None for what Label Studio tells, of COCO for the file's name.

    Raises:
        ConfigError: the extra `annotations` is not installed.
        DataError: it cannot be read; all faults are listed.
    """
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); export it anew") from None
    if isinstance(document, dict):
        return AnnotationFile(path, *read_coco(path, document, column, by or path.name))
    if not isinstance(document, list):
        raise DataError(f"{path}: is neither COCO nor an export of Label Studio as JSON")
    annotations, without, several = read_label_studio(path, document)
    if by:
        annotations = [Annotation(**{**vars(one), "by": by}) for one in annotations]
    return AnnotationFile(path, annotations, without, several)


def correct_catalog(table: pd.DataFrame, given: AnnotationFile, masks: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The catalog with people's masks and words, and a table of what each of them was before.

    Args:
        table: a validated catalog.
        given: people's annotations of its images.
        masks: folder that masks are written to, one PNG an image.

    Returns:
        The corrected catalog, and one row a mask or word: `image_id, column, change` (`added`, `confirmed` or
        `changed`), `before, after, iou` (of masks), `by, when, file, sha256`.

    Raises:
        DataError: an image is not in the catalog or stands twice, or a column cannot hold a word; all faults are
            listed, and nothing is written.
    """
    placed = _placed(table, given)
    digest = sha256(given.path)
    rows: list[dict[str, Any]] = []
    new = table.copy()
    for column in sorted({name for one in given.annotations for name in one.words}):
        if column not in new:
            new[column] = ""
    for row, one in placed:
        image = str(table["image_id"].iloc[row])
        about = {"image_id": image, "by": one.by, "when": one.when, "file": given.path.name, "sha256": digest}
        for column, word in one.words.items():
            before = str(new[column].iloc[row])
            change, after = _compared(column, before, word)
            new.loc[row, column] = after
            rows.append(about | {"column": column, "change": change, "before": before, "after": after})
            _name(new, row, column + BY, one.by)
        if one.counts is not None:
            before, file = str(table["mask_path"].iloc[row]), masks / f"{quote(image, safe='')}.png"
            mask = one.mask()
            iou = _overlap(Path(before), mask) if before else np.nan
            write_image(file, mask.astype(np.uint8) * 255)
            new.loc[row, "mask_path"] = str(file)
            change = ADDED if not before else CONFIRMED if iou == 1 else CHANGED
            rows.append(about | {"column": "mask", "change": change, "before": before, "after": str(file), "iou": iou})
            _name(new, row, "mask" + BY, one.by)
    return new, pd.DataFrame(rows, columns=COLUMNS)


def _name(table: pd.DataFrame, row: int, column: str, by: str) -> None:
    if column not in table:
        table[column] = ""
    table.loc[row, column] = by


def _placed(table: pd.DataFrame, given: AnnotationFile) -> list[tuple[int, Annotation]]:
    """Each annotation with the row of its image."""
    rows = {str(image): row for row, image in enumerate(table["image_id"])}
    named: dict[str, list[int]] = {}
    for row, path in enumerate(table["image_path"]):
        named.setdefault(image_name(path), []).append(row)
    placed: list[tuple[int, Annotation]] = []
    faults: list[str] = []
    for one in given.annotations:
        name = one.image_id or one.path
        found = [rows[one.image_id]] if one.image_id in rows else named.get(image_name(one.path), [])
        if len(found) != 1:
            faults.append(f"{name} is {f'{len(found)} images' if found else 'no image'} of the catalog")
            continue
        faults += [
            f"{name}: symmetry {word}; use one of {' '.join(SYMMETRIES)}"
            for column, word in one.words.items()
            if column == "symmetry" and word not in SYMMETRIES
        ]
        placed.append((found[0], one))
    counts = Counter(str(table["image_id"].iloc[row]) for row, _ in placed)
    faults += [f"{image} is annotated {count} times" for image, count in counts.items() if count > 1]
    if faults:
        raise DataError(f"{given.path}: {listed(faults)}; give the catalog that was exported")
    return placed


def _compared(column: str, before: str, word: str) -> tuple[str, str]:
    """What a word changes, and what the catalog then holds."""
    if not before:
        return ADDED, word
    coarser = {
        "diagnosis": find_concept(word) in lineage(find_concept(before)),
        "symmetry": SYMMETRY_BINARY.class_of(before) == word,
    }
    return (CONFIRMED, before) if before == word or coarser.get(column) else (CHANGED, word)


def _overlap(path: Path, mask: np.ndarray) -> float:
    """Intersection over union with an earlier mask, at the size of the new one; 1 of two empty ones."""
    earlier = read_mask(path)
    if earlier.shape != mask.shape:
        earlier = resize(earlier.astype(np.uint8) * 255, mask.shape[::-1]) > 127
    union = int((earlier | mask).sum())
    return float((earlier & mask).sum() / union) if union else 1.0
