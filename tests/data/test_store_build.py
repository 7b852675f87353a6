"""A store is built once, whatever happens on the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from selcn.data.catalog import complete_catalog, read_catalog, write_catalog
from selcn.data.imaging import read
from selcn.data.imaging.prepare import prepare_image
from selcn.data.imaging.read import read_image, write_image
from selcn.data.store import build as building
from selcn.data.store.build import build_store
from selcn.data.store.store import open_store
from selcn.errors import DataError


def make_catalog(folder: Path, images: int) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = []
    for n in range(images):
        write_image(folder / f"{n}.png", generator.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        write_image(folder / f"{n}-mask.png", np.full((30, 40), 255 * (n % 2), np.uint8))
        mask = str(folder / f"{n}-mask.png") if n % 5 != 4 else ""
        rows.append({"image_id": str(n), "image_path": str(folder / f"{n}.png"), "mask_path": mask})
    return complete_catalog(pd.DataFrame(rows), "catalog")


@pytest.fixture
def catalog(tmp_path: Path) -> pd.DataFrame:
    return make_catalog(tmp_path, 5)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that were decoded."""
    names: list[str] = []

    def spy(path: Path) -> np.ndarray:
        names.append(path.stem)
        return read_image(path)

    monkeypatch.setattr(building, "read_image", spy)
    return names


def test_each_file_is_read_and_decoded_once(
    catalog: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: dict[str, list[Path]] = {name: [] for name in ("read_bytes", "decode_pages", "decode_mask")}

    def counting(name: str, path_at: int) -> None:
        function = getattr(read, name)

        def counted(*given: Any, **named: Any) -> Any:
            calls[name].append(given[path_at])
            return function(*given, **named)

        monkeypatch.setattr(read, name, counted)

    for name, path_at in (("read_bytes", 0), ("decode_pages", 1), ("decode_mask", 1)):
        counting(name, path_at)
    build_store(catalog, tmp_path / "store", size=(20, 15))
    images, masks = ([Path(path) for path in catalog[column] if path] for column in ("image_path", "mask_path"))
    assert [sorted(found) for found in calls.values()] == [sorted(images + masks), sorted(images), sorted(masks)]


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def contents(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir()}


def test_a_store_holds_what_decoding_gives_row_for_row(
    catalog: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "CHUNK", 2)
    seen: list[tuple[int, int]] = []
    build_store(
        catalog,
        tmp_path / "store",
        size=(32, 36),
        hair=False,
        jobs=2,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(n, 5) for n in range(1, 6)]
    store = open_store(tmp_path / "store", catalog)
    assert store.size == (32, 36)
    for row, path in enumerate(catalog["image_path"]):
        assert (store.images[row] == prepare_image(read_image(Path(path)), (32, 36), hair=False)).all()
    assert store.masks.mean(axis=(1, 2)).tolist() == [0, 1, 0, 1, 0]
    assert store.has_mask.tolist() == [True] * 4 + [False]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".building")]


def test_all_faulty_files_are_named_and_the_others_stay_prepared(
    catalog: pd.DataFrame, tmp_path: Path, decoded: list[str]
) -> None:
    sound = Path(catalog["image_path"][2]).read_bytes()
    Path(catalog["image_path"][1]).write_bytes(b"broken")
    Path(catalog["image_path"][2]).unlink()
    write_image(Path(catalog["mask_path"][3]), np.zeros((40, 40), np.uint8))
    faults = r"line 3: .*1\.png: not a.*line 4: .*2\.png: cannot.*line 5: .*mask is 40x40"
    with pytest.raises(DataError, match=rf"3 images cannot.*{faults}.*other 2 stay"):
        build_store(catalog, tmp_path / "store", size=(32, 32))
    assert not (tmp_path / "store").exists()
    decoded.clear()
    for n in (1, 2):
        Path(catalog["image_path"][n]).write_bytes(sound)
    write_image(Path(catalog["mask_path"][3]), np.zeros((30, 40), np.uint8))
    build_store(catalog, tmp_path / "store", size=(32, 32))
    assert sorted(decoded) == ["1", "2", "3"]


def test_a_changed_file_is_prepared_again_and_another_plan_starts_anew(
    catalog: pd.DataFrame, tmp_path: Path, decoded: list[str]
) -> None:
    broken = Path(catalog["image_path"][4])
    sound = broken.read_bytes()
    broken.write_bytes(b"broken")
    for size, decodes in (((32, 32), 5), ((32, 32), 1), ((48, 32), 5)):
        decoded.clear()
        with pytest.raises(DataError, match="1 images cannot"):
            build_store(catalog, tmp_path / "store", size=size)
        assert len(decoded) == decodes
    decoded.clear()
    broken.write_bytes(sound)
    write_image(Path(catalog["image_path"][0]), np.zeros((30, 40, 3), np.uint8))
    store = build_store(catalog, tmp_path / "store", size=(48, 32))
    assert sorted(decoded) == ["0", "4"]
    assert not store.images[0].any()


def test_a_killed_build_goes_on_and_ends_as_an_unbroken_one(tmp_path: Path, decoded: list[str]) -> None:
    table = make_catalog(tmp_path, 24)
    write_catalog(table, tmp_path / "catalog.csv")
    table = read_catalog(tmp_path / "catalog.csv")
    code = f"""
import time
from pathlib import Path
from selcn.data.store import build as building
from selcn.data.catalog import read_catalog
read, building.CHUNK = building.read_image, 4
def slow(path):
    time.sleep(0.05)
    return read(path)
building.read_image = slow
folder = Path({str(tmp_path)!r})
building.build_store(read_catalog(folder / "catalog.csv"), folder / "store", jobs=1, size=(32, 32))
"""
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        journal = tmp_path / ".working-store" / building.JOURNAL
        deadline = time.monotonic() + 60
        while not (journal.exists() and np.load(journal).any()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    done = int((np.load(journal) != 0).sum())
    assert 0 < done < 24
    assert not (tmp_path / "store").exists()
    build_store(table, tmp_path / "store", size=(32, 32))
    assert len(decoded) == 24 - done
    build_store(table, tmp_path / "unbroken", size=(32, 32))
    assert contents(tmp_path / "store") == contents(tmp_path / "unbroken")


def test_a_build_cut_off_just_before_its_end_prepares_nothing_again(
    catalog: pd.DataFrame, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(building, "seal_store", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build_store(catalog, tmp_path / "store", size=(32, 32))
    decoded.clear()
    build_store(catalog, tmp_path / "store", size=(32, 32))
    assert decoded == []


def test_two_processes_do_not_build_one_store(catalog: pd.DataFrame, tmp_path: Path) -> None:
    with FileLock(tmp_path / ".working-store.lock"), pytest.raises(DataError, match="another process is making it"):
        build_store(catalog, tmp_path / "store", size=(32, 32))
    build_store(catalog, tmp_path / "store", size=(32, 32))
    with pytest.raises(DataError, match="exists already"):
        build_store(catalog, tmp_path / "store", size=(32, 32))


def test_a_full_disk_says_so_before_anything_is_decoded(
    catalog: pd.DataFrame, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "images.npy")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        build_store(catalog, tmp_path / "store", size=(32, 32))
    assert decoded == []
    monkeypatch.undo()
    build_store(catalog, tmp_path / "store", size=(32, 32))


def test_a_system_that_cannot_allocate_writes_the_same_store(
    catalog: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_store(catalog, tmp_path / "store", size=(32, 32))
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr(building, "BLOCK", 100)
    with monkeypatch.context() as patch:
        patch.setattr(building, "read_image", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build_store(catalog, tmp_path / "other", size=(32, 32))
    empty = tmp_path / ".working-other" / building.ARRAYS / "images.npy"
    assert not np.load(empty).any()
    build_store(catalog, tmp_path / "other", size=(32, 32))
    assert contents(tmp_path / "other") == contents(tmp_path / "store")
