"""Mutated, mislabelled and hostile files each give a row, and nothing else happens."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from bombs import bombs

import selcn
from selcn.data.imaging.read import write_image
from selcn.inference.batch import ROWS, OutputOptions, predict_files, read_rows

ROOT = Path(__file__).parent.parent
ORIGINALS = ROOT.parent / "shared" / "data" / "originals"


@pytest.fixture(scope="module")
def hostile() -> ModuleType:
    """The benchmark that makes such files by thousands."""
    spec = importlib.util.spec_from_file_location("hostile", ROOT / "benchmarks" / "hostile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_file_gives_a_row(tiny_run: Path, tmp_path: Path, hostile: ModuleType) -> None:
    folder = ORIGINALS
    if not folder.exists():
        folder = tmp_path / "pictures"
        folder.mkdir()
        for suffix in (".jpg", ".png", ".bmp", ".tif", ".webp"):
            pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
            write_image(folder / f"one{suffix}", pixels)
    items = hostile.hostile_items(folder, 80, seed=3)
    predictor = selcn.load(tiny_run / "bundle")
    errors = predict_files([predictor], items, tmp_path / "out", options=OutputOptions(overlays=False))
    rows = list(read_rows(tmp_path / "out" / ROWS))
    assert list(dict.fromkeys(row["image"] for row in rows)) == [item.name for item in items]  # one has several frames
    assert len(errors) == sum("error" in row for row in rows)
    assert all("\n" not in error for error in errors)
    crafted = {row["image"]: row for row in rows if row["image"] in hostile.crafted()}
    told = {f"bomb-{name}": told for name, _, told in bombs()}
    read = {name for name, row in crafted.items() if "error" not in row}
    # The limits of a command are wider than those of a server.
    large = {"bomb-png-claims", "bomb-tiff", "bomb-tiff-page", "bomb-deflate-claims"}
    assert read == {"tiny.png"} | large | {name for name, said in told.items() if said.startswith("[")}
    assert "more pixels than can be decoded" in crafted["bomb.png"]["error"]
