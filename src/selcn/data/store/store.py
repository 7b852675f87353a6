"""Prepared images and masks as memory-mapped arrays, with an index and a manifest."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.config.sections import Hair
from selcn.data.catalog import catalog_hash
from selcn.errors import DataError
from selcn.io.files import sha256

IMAGES, MASKS, INDEX, MANIFEST = "images.npy", "masks.npy", "index.csv", "manifest.json"


@dataclass(frozen=True)
class Store:
    """Prepared images of a catalog, row for row.

    Attributes:
        images: uint8 RGB (N, H, W, 3), memory-mapped.
        masks: uint8 0 or 1 (N, H, W), memory-mapped.
        has_mask: bool (N,), whether the image has a true mask.
        image_ids: (N,) in the catalog's order.
        hair: whether hair was removed, and how.
        catalog: hash of the catalog that was prepared.
    """

    images: np.ndarray
    masks: np.ndarray
    has_mask: np.ndarray
    image_ids: list[str]
    hair: Hair
    catalog: str

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the prepared images."""
        return self.images.shape[2], self.images.shape[1]


def open_store(path: Path, table: pd.DataFrame) -> Store:
    """Open a store of this very catalog.

    Args:
        path: the store's folder.
        table: the catalog that it was prepared from.

    Raises:
        DataError: no store, not whole, or prepared from another catalog or from other files.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        index = pd.read_csv(path / INDEX, dtype={"image_id": str})
        images = np.load(path / IMAGES, mmap_mode="r")
        masks = np.load(path / MASKS, mmap_mode="r")
        hair, catalog = manifest["hair"], str(manifest["catalog"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a whole store ({error}); make it anew with `selcn prepare`") from None
    has_mask = index["has_mask"].to_numpy(dtype=bool)
    same_images = catalog == catalog_hash(table) and list(index["image_id"]) == list(table["image_id"])
    if not same_images or (has_mask != (table["mask_path"] != "")).any():
        raise DataError(f"{path}: was prepared from another catalog; make it anew with `selcn prepare`")
    return Store(images, masks, has_mask, list(index["image_id"]), hair, catalog)


def verify_store(path: Path) -> None:
    """Compare every file of a store with its checksum.

    Args:
        path: the store's folder.

    Raises:
        DataError: a file was changed after the store was made, or there is no manifest.
    """
    try:
        checksums = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["sha256"]
        changed = [name for name, checksum in checksums.items() if sha256(path / name) != checksum]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a whole store ({error}); make it anew with `selcn prepare`") from None
    if changed:
        raise DataError(f"{path / changed[0]}: was changed after the store was made; make it anew with `selcn prepare`")


def seal_store(folder: Path, table: pd.DataFrame, size: tuple[int, int], *, hair: Hair) -> None:
    """Make a store of a folder whose arrays are filled: the index, and last the manifest with every checksum.

    Args:
        folder: with both arrays, whole.
        table: the catalog that they are of.
        size: width and height in pixels.
        hair: whether hair was removed, and how.
    """
    index = pd.DataFrame({"image_id": table["image_id"], "has_mask": (table["mask_path"] != "").astype(int)})
    index.to_csv(folder / INDEX, index=False, lineterminator="\n")
    checksums = {name: sha256(folder / name) for name in (IMAGES, MASKS, INDEX)}
    manifest = {"size": size, "hair": hair, "catalog": catalog_hash(table), "images": len(table), "sha256": checksums}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8", newline="\n")
