"""Prepared images and masks as memory-mapped arrays, with an index and a manifest."""

import hashlib
import json
import shutil
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
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    width, height = size
    images = open_memmap(partial / "images.npy", "w+", np.uint8, (len(table), height, width, 3))
    masks = open_memmap(partial / "masks.npy", "w+", np.uint8, (len(table), height, width))

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
        shutil.rmtree(partial)
        more = f" | and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise DataError(f"{len(faults)} files cannot be prepared: {' | '.join(faults[:5])}{more}")
    images.flush()
    masks.flush()
    _write_manifest(table, partial, size, hair)
    partial.rename(out)
    return open_store(out, table)


def open_store(path: Path, table: pd.DataFrame) -> Store:
    """Open a store of this very catalog.

    Raises:
        DataError: no store, not whole, or prepared from another catalog.
    """
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        index = pd.read_csv(path / "index.csv", dtype={"image_id": str})
        images = np.load(path / "images.npy", mmap_mode="r")
        masks = np.load(path / "masks.npy", mmap_mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a whole store ({error}); make it anew with `selcn prepare`") from None
    if manifest["catalog"] != catalog_hash(table) or list(index["image_id"]) != list(table["image_id"]):
        raise DataError(f"{path}: was prepared from another catalog; make it anew with `selcn prepare`")
    has_mask = index["has_mask"].to_numpy(dtype=bool)
    return Store(images, masks, has_mask, list(index["image_id"]), manifest["hair"], manifest["catalog"])


def _write_manifest(table: pd.DataFrame, folder: Path, size: tuple[int, int], hair: bool) -> None:
    index = pd.DataFrame({"image_id": table["image_id"], "has_mask": (table["mask_path"] != "").astype(int)})
    index.to_csv(folder / "index.csv", index=False)
    checksums = {name: _sha256(folder / name) for name in ("images.npy", "masks.npy", "index.csv")}
    manifest = {"size": size, "hair": hair, "catalog": catalog_hash(table), "images": len(table), "sha256": checksums}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
