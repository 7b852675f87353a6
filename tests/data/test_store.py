from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selcn.data.catalog import complete_catalog
from selcn.data.imaging.read import write_image
from selcn.data.store.build import build_store
from selcn.data.store.store import open_store, verify_store
from selcn.errors import DataError


@pytest.fixture
def catalog(tmp_path: Path) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = []
    for n in range(5):
        write_image(tmp_path / f"{n}.png", generator.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        write_image(tmp_path / f"{n}-mask.png", np.full((30, 40), 255 * (n % 2), np.uint8))
        mask = str(tmp_path / f"{n}-mask.png") if n != 4 else ""
        rows.append({"image_id": str(n), "image_path": str(tmp_path / f"{n}.png"), "mask_path": mask})
    return complete_catalog(pd.DataFrame(rows), "catalog")


def test_a_store_is_not_used_for_another_catalog(catalog: pd.DataFrame, tmp_path: Path) -> None:
    build_store(catalog, tmp_path / "store", size=(32, 32))
    with pytest.raises(DataError, match="prepared from another catalog"):
        open_store(tmp_path / "store", catalog.iloc[:3])
    (tmp_path / "store" / "index.csv").unlink()
    with pytest.raises(DataError, match="not a whole store"):
        open_store(tmp_path / "store", catalog)


def test_a_store_without_the_masks_the_catalog_now_has_is_refused(catalog: pd.DataFrame, tmp_path: Path) -> None:
    build_store(catalog.assign(mask_path=""), tmp_path / "store", size=(32, 32))
    with pytest.raises(DataError, match="prepared from another catalog"):
        open_store(tmp_path / "store", catalog)


def test_a_changed_byte_of_a_store_is_named(catalog: pd.DataFrame, tmp_path: Path) -> None:
    build_store(catalog, tmp_path / "store", size=(32, 32))
    verify_store(tmp_path / "store")
    data = bytearray((tmp_path / "store" / "masks.npy").read_bytes())
    data[-1] ^= 1
    (tmp_path / "store" / "masks.npy").write_bytes(data)
    with pytest.raises(DataError, match=r"masks\.npy: was changed"):
        verify_store(tmp_path / "store")
    (tmp_path / "store" / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match="not a whole store"):
        open_store(tmp_path / "store", catalog)
