"""A row for each frame of files that hold several: pages of TIFF, frames of DICOM."""

import logging

import numpy as np
import pandas as pd

from selcn.data.discovery import frame_addresses
from selcn.io.tables import without_placeholders

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
    addresses = [frame_addresses(str(path)) for path in rows["image_path"]]
    counts = np.array([len(one) for one in addresses])
    if not (counts > 1).any():
        return rows
    row = np.repeat(np.arange(len(rows)), counts)
    number = np.concatenate([np.arange(count) for count in counts])
    framed = counts[row] > 1
    logger.info("%s: %d files hold several frames; each of %d is a row", where, (counts > 1).sum(), framed.sum())
    table = rows.assign(lesion_id=_lesions(rows, counts > 1)).iloc[row].copy()
    table["image_path"] = [address for one in addresses for address in one]
    if "mask_path" in rows:
        table["mask_path"] = _masks(rows, addresses, where)
    ids = table["image_id"].astype(str)
    table["image_id"] = [f"{one}-frame-{n}" if of else one for one, n, of in zip(ids, number, framed, strict=True)]
    return table


def _lesions(rows: pd.DataFrame, several: np.ndarray) -> "pd.Series[str]":
    """The lesion of each row, or the file where neither lesion nor patient is known and it has several frames."""
    known = [without_placeholders(rows[name]) for name in ("lesion_id", "patient_id") if name in rows]
    unknown = np.logical_and.reduce([several, *((one == "").to_numpy() for one in known)])
    lesion = rows["lesion_id"] if "lesion_id" in rows else pd.Series("", index=rows.index)
    return lesion.where(~unknown, rows["image_id"])


def _masks(rows: pd.DataFrame, addresses: list[list[str]], where: str) -> list[str]:
    """The mask of each frame; "" where a mask's file has another number of pages than the image's."""
    found, unfit = list[str](), 0
    for mask, frames in zip(rows["mask_path"].astype(str), addresses, strict=True):
        pages = frame_addresses(mask) if len(frames) > 1 else [mask]
        fits = not mask or len(pages) == len(frames)
        unfit += not fits
        found += pages if mask and fits else [""] * len(frames)
    if unfit:
        logger.info("%s: %d masks have another number of frames than their image; not used", where, unfit)
    return found
