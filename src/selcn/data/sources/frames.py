"""A row for each frame of files that hold several: pages of TIFF, frames of DICOM."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.data.imaging.address import printable
from selcn.data.imaging.read import count_frames
from selcn.data.naming import IMAGE_SUFFIXES
from selcn.io.tables import without_placeholders

SINGLE = IMAGE_SUFFIXES - {".tif", ".tiff", ".gif", ".webp", ".avif", ".dcm", ".dicom"}
"""Suffixes of files that are not opened to count their frames."""
logger = logging.getLogger(__name__)


def with_frames(rows: pd.DataFrame, where: str) -> pd.DataFrame:
    """The rows, those of files with several frames once for each frame; other tables unchanged.

    A frame's `image_id` ends in `-frame-0` and its `image_path` in `#0`, so that every command reads it by itself. The
    frames of a file are one lesion where neither lesion nor patient is known, and have masks where the mask's file has
    as many pages.

    Args:
        rows: with `image_id` and `image_path`.
        where: what the log calls them.
    """
    counts = np.array([_frames(str(path)) for path in rows["image_path"]], dtype=int)
    several = counts > 1
    if not several.any():
        return rows
    row = np.repeat(np.arange(len(rows)), counts)
    number = np.concatenate([np.arange(count) for count in counts])
    table = rows.iloc[row].copy()
    framed = several[row]
    logger.info("%s: %d files hold several frames; each of %d is a row", where, several.sum(), framed.sum())
    table["lesion_id"] = _lesions(rows, several).to_numpy()[row]
    for column, mark in (("image_id", "-frame-"), ("image_path", "#")):
        text = table[column].astype(str).to_numpy()
        table[column] = [f"{one}{mark}{n}" if of else one for one, n, of in zip(text, number, framed, strict=True)]
    if "mask_path" in table:
        table["mask_path"] = _masks(rows, counts, where, row, number)
    return table


def printable_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with what is not UTF-8 in names of files and folders written as `printable` does.

    Args:
        rows: of any columns.
    """
    return rows.map(lambda cell: printable(cell) if isinstance(cell, str) and not cell.isascii() else cell)


def _frames(path: str) -> int:
    suffix = Path(path).suffix.lower()
    return 1 if not path or suffix in SINGLE or "#" in suffix else count_frames(Path(path))


def _lesions(rows: pd.DataFrame, several: np.ndarray) -> "pd.Series[str]":
    """The lesion of each row, or the file where neither lesion nor patient is known and it has several frames."""
    known = [without_placeholders(rows[name]) for name in ("lesion_id", "patient_id") if name in rows]
    unknown = np.logical_and.reduce([np.ones(len(rows), bool), *((one == "").to_numpy() for one in known)])
    lesion = rows["lesion_id"] if "lesion_id" in rows else pd.Series("", index=rows.index)
    return lesion.mask(pd.Series(unknown & several, index=rows.index), rows["image_id"])


def _masks(rows: pd.DataFrame, counts: np.ndarray, where: str, row: np.ndarray, number: np.ndarray) -> list[str]:
    """The mask of each frame; "" where a mask's file has another number of pages than the image's."""
    masks = rows["mask_path"].astype(str).to_list()
    fits = [
        not mask or count == 1 or _frames(mask) == count for mask, count in zip(masks, counts.tolist(), strict=True)
    ]
    if not all(fits):
        logger.info("%s: %d masks have another number of frames than their image; not used", where, fits.count(False))
    framed = [
        f"{masks[of]}#{n}" if counts[of] > 1 and masks[of] else masks[of] for of, n in zip(row, number, strict=True)
    ]
    return [mask if fits[of] else "" for mask, of in zip(framed, row, strict=True)]
