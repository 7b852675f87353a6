"""Prepared images and masks as memory-mapped arrays, with an index and a manifest."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from selcn.data.catalog import catalog_hash
from selcn.data.images import prepare_image, prepare_mask, read_image, read_mask
from selcn.errors import DataError, SelcnError
from selcn.files import sha256, written_whole


@dataclass(frozen=True)
class Store:
    """Prepared pictures of a catalog, row for row.

    Attributes:
        images: uint8 RGB (N, H, W, 3), memory-mapped.
        masks: uint8 0 or 1 (N, H, W), memory-mapped.
        has_mask: bool (N,), whether the image has a true mask.
        image_ids: (N,) in the catalog's order.
        hair: whether hair was removed.
        catalog: hash of the catalog that was prepared.
    """

    images: np.ndarray
    masks: np.ndarray
    has_mask: np.ndarray
    image_ids: list[str]
    hair: bool
    catalog: str

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the prepared pictures."""
        return self.images.shape[2], self.images.shape[1]


def build_store(
    table: pd.DataFrame,
    out: Path,
    *,
    size: tuple[int, int] = (256, 192),
    hair: bool = True,
    jobs: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Store:
    """Decode every image and mask once, in parallel, and keep them at ``size`` (width, height).

    The store is built beside ``out`` and renamed when whole. Every faulty file is named before anything is given up.

    Raises:
        DataError: ``out`` exists, or files are missing, unreadable or of another size than their image.
    """
    if out.exists():
        raise DataError(f"{out}: exists already; remove it or choose another --out")
    with written_whole(out) as partial:
        partial.mkdir()
        _fill(table, partial, size, hair, jobs, on_progress)
        _write_manifest(table, partial, size, hair)
    return open_store(out, table)


def _fill(
    table: pd.DataFrame,
    folder: Path,
    size: tuple[int, int],
    hair: bool,
    jobs: int | None,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    width, height = size
    images = open_memmap(folder / "images.npy", "w+", np.uint8, (len(table), height, width, 3))
    masks = open_memmap(folder / "masks.npy", "w+", np.uint8, (len(table), height, width))

    def fill(row: int) -> str | None:
        try:
            image = read_image(Path(table["image_path"].iloc[row]))
            images[row] = prepare_image(image, size, hair=hair)
            if mask_path := table["mask_path"].iloc[row]:
                masks[row] = prepare_mask(read_mask(Path(mask_path), image.shape[1::-1]), size)
        except SelcnError as error:
            return f"row {row + 2}: {error}"
        return None

    faults: list[str] = []
    with ThreadPoolExecutor(jobs) as pool:
        for done, fault in enumerate(pool.map(fill, range(len(table))), start=1):
            faults += [fault] if fault else []
            if on_progress:
                on_progress(done, len(table))
    if faults:
        more = f" | and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise DataError(f"{len(faults)} files cannot be prepared: {' | '.join(faults[:5])}{more}")
    images.flush()
    masks.flush()


def open_store(path: Path, table: pd.DataFrame) -> Store:
    """Open a store of this very catalog.

    Raises:
        DataError: no store, not whole, or prepared from another catalog or from other files.
    """
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        index = pd.read_csv(path / "index.csv", dtype={"image_id": str})
        images = np.load(path / "images.npy", mmap_mode="r")
        masks = np.load(path / "masks.npy", mmap_mode="r")
        hair, catalog = bool(manifest["hair"]), str(manifest["catalog"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a whole store ({error}); make it anew with `selcn prepare`") from None
    has_mask = index["has_mask"].to_numpy(dtype=bool)
    same_images = catalog == catalog_hash(table) and list(index["image_id"]) == list(table["image_id"])
    if not same_images or (has_mask != (table["mask_path"] != "")).any():
        raise DataError(f"{path}: was prepared from another catalog; make it anew with `selcn prepare`")
    return Store(images, masks, has_mask, list(index["image_id"]), hair, catalog)


def verify_store(path: Path) -> None:
    """Compare every file of a store with its checksum.

    Raises:
        DataError: a file was changed after the store was made, or there is no manifest.
    """
    try:
        checksums = json.loads((path / "manifest.json").read_text(encoding="utf-8"))["sha256"]
        changed = [name for name, checksum in checksums.items() if sha256(path / name) != checksum]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a whole store ({error}); make it anew with `selcn prepare`") from None
    if changed:
        raise DataError(f"{path / changed[0]}: was changed after the store was made; make it anew with `selcn prepare`")


def _write_manifest(table: pd.DataFrame, folder: Path, size: tuple[int, int], hair: bool) -> None:
    index = pd.DataFrame({"image_id": table["image_id"], "has_mask": (table["mask_path"] != "").astype(int)})
    index.to_csv(folder / "index.csv", index=False)
    checksums = {name: sha256(folder / name) for name in ("images.npy", "masks.npy", "index.csv")}
    manifest = {"size": size, "hair": hair, "catalog": catalog_hash(table), "images": len(table), "sha256": checksums}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
