"""Images, catalogs and results in object storage: a server that speaks S3, on this machine."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from selcn.data.catalog import read_catalog, write_catalog
from selcn.data.imaging import address
from selcn.data.imaging.address import locate, printable
from selcn.errors import ConfigError, StorageError
from selcn.io import storage

Command = Callable[..., int]
BUCKET = "s3://skin"
IMAGES = 6
# Of the server alone.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def _server() -> Iterator[None]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}" if host == "0.0.0.0" else f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        storage._library.cache_clear()
        yield
        storage._library.cache_clear()
    server.stop()


@pytest.fixture
def bucket(_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket, as a file system of fsspec."""
    monkeypatch.setenv(storage.CACHE, str(tmp_path / "cache"))
    system = storage._library("s3")
    system.mkdir("skin")
    yield system
    system.rm("skin", recursive=True)
    system.invalidate_cache()


@pytest.fixture
def catalog(phantom: pd.DataFrame, bucket: Any, tmp_path: Path) -> Path:
    """A catalog of this machine, whose folder is in the bucket too."""
    folder = tmp_path / "data"
    table = phantom.head(IMAGES).copy()
    for column in ("image_path", "mask_path"):
        (folder / column).mkdir(parents=True)
        table[column] = [str(shutil.copy(path, folder / column)) for path in table[column]]
    write_catalog(table, folder / "catalog.csv")
    bucket.put(f"{folder}/", "skin/data/", recursive=True)
    return folder / "catalog.csv"


def fetched(system: Any, folder: str) -> dict[str, bytes]:
    return {name.removeprefix(f"{folder}/"): system.cat_file(name) for name in system.find(folder)}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix(): (folder / path).read_bytes() for path in files if path.parts[-1][0] != "."}


def test_states_of_many_files_come_from_one_listing(
    catalog: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del catalog
    names = [f"s3://{name}" for name in bucket.find("skin/data/image_path")] + [f"{BUCKET}/data/image_path/gone.png"]
    expected = address.file_states([*names, f"{BUCKET}/data/catalog.csv"])
    assert expected[IMAGES] is None
    asked: list[str] = []

    def state(path: Path) -> tuple[int, str] | None:
        asked.append(storage.address_of(path))
        return state_of(path)

    state_of = storage.state
    monkeypatch.setattr(storage, "state", state)
    monkeypatch.setattr(address, "LISTED", len(names))
    assert address.file_states([*names, f"{BUCKET}/data/catalog.csv"]) == expected
    assert asked == [f"{BUCKET}/data/catalog.csv"]
    assert address.file_states([f"{BUCKET}/none/{number}.png" for number in range(len(names))]) == [None] * len(names)


@pytest.mark.parametrize("name", ["s3://skin/a b/c.tif", "gs://skin/c.tif"])
def test_an_address_stays_one_as_a_path(name: str) -> None:
    path = Path(name)
    assert str(path) != name
    assert storage.is_remote(path)
    assert printable(path) == storage.address_of(path) == name
    assert storage.joined(path.parent, "x/y.png") == name.replace("c.tif", "x/y.png")
    assert storage.joined(Path("here"), name) == name
    assert storage.joined(Path("here"), "x.png") == str(Path("here/x.png"))
    assert locate(Path(f"{name}#3")) == (path, 3, "")
    assert not any(map(storage.is_remote, ("s3", "s3:", "s3/x", "x/s3://y", "hf://owner/name", "C:/x")))


def test_files_are_found_read_and_told_apart(bucket: Any) -> None:
    bucket.pipe({"skin/b/1.png": b"one", "skin/b/c/2.png": b"two", "skin/b/.hidden/3.png": b"", "skin/x.png": b"x"})
    assert storage.find(f"{BUCKET}/b") == [f"{BUCKET}/b/1.png", f"{BUCKET}/b/c/2.png"]
    assert storage.find(f"{BUCKET}/b/*.png") == [f"{BUCKET}/b/1.png"]
    assert storage.find(f"{BUCKET}/none") == []
    assert storage.read(Path(f"{BUCKET}/b/c/2.png")) == b"two"
    first = storage.state(f"{BUCKET}/b/1.png")
    bucket.pipe_file("skin/b/1.png", b"two")
    second = storage.state(f"{BUCKET}/b/1.png")
    assert first is not None
    assert second is not None
    assert (first[0], first != second) == (3, True)
    assert storage.state(f"{BUCKET}/b/none.png") is None
    with pytest.raises(FileNotFoundError):
        storage.read(f"{BUCKET}/none")


def test_what_cannot_be_reached_is_told_in_one_line(
    bucket: Any, selcn: Command, catalog: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def fault(*words: object) -> str:
        assert selcn(*words) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        return str(line)

    assert "s3://nothing: no such bucket" in fault("audit", catalog, "--out", "s3://nothing/found.json")
    assert "is a whole bucket; give a folder in it" in fault("prepare", catalog, "--out", BUCKET)
    assert f"{BUCKET}/none.csv: cannot be read" in fault("audit", f"{BUCKET}/none.csv")
    bucket.pipe_file("skin/store/plan.json", b"")
    assert "exists already" in fault("prepare", catalog, "--out", f"{BUCKET}/store")
    with monkeypatch.context() as closed:
        closed.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        closed.setenv("AWS_MAX_ATTEMPTS", "1")
        storage._library.cache_clear()
        storage._library("s3").clear_instance_cache()
        storage._library.cache_clear()
        assert "object storage cannot be used" in fault("audit", f"{BUCKET}/data/catalog.csv")
    storage._library("s3").clear_instance_cache()
    storage._library.cache_clear()
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert "pip install 'selcn[storage]'" in fault("audit", f"{BUCKET}/data/catalog.csv")
    storage._library.cache_clear()
    with pytest.raises(ConfigError, match="is no address"):
        storage.address_of("here")


def test_a_catalog_s_images_are_read_from_the_bucket(
    bucket: Any, catalog: Path, selcn: Command, tmp_path: Path
) -> None:
    there = f"{BUCKET}/data/catalog.csv"
    table = read_catalog(Path(there))
    assert table["image_path"][0] == f"{BUCKET}/data/image_path/{Path(read_catalog(catalog)['image_path'][0]).name}"
    assert selcn("prepare", catalog, "--size", "48x36", "--out", tmp_path / "store") == 0
    assert selcn("prepare", there, "--size", "48x36", "--out", f"{BUCKET}/out/store") == 0
    assert fetched(bucket, "skin/out/store") == contents(tmp_path / "store")
    code = selcn("audit", catalog, "--out", tmp_path / "found.json")
    assert selcn("audit", there, "--out", f"{BUCKET}/out/found.json", "--fix", f"{BUCKET}/fix/clean.csv") == code
    assert bucket.cat_file("skin/out/found.json") == (tmp_path / "found.json").read_bytes()
    assert sorted(fetched(bucket, "skin/fix")) == ["clean.csv", "clean.dropped.csv"]
    assert list(read_catalog(Path(f"{BUCKET}/fix/clean.csv"))["image_path"]) == list(table["image_path"])
    assert not list((tmp_path / "cache" / "out").iterdir())


def test_predictions_and_saliency_go_to_the_bucket(
    tiny_run: Path, bucket: Any, catalog: Path, selcn: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (catalog.parent / "image_path" / "zz.png").write_bytes(b"no image")
    bucket.put_file(str(catalog.parent / "image_path" / "zz.png"), "skin/data/image_path/zz.png")
    words = ["predict", tiny_run / "bundle", "--table", "csv"]
    assert selcn(*words, catalog.parent / "image_path", "--out", tmp_path / "one") == 2
    whole = storage.upload

    def stop(*_: Any) -> int:
        raise StorageError("no network")

    monkeypatch.setattr(storage, "upload", stop)
    again = [*words, f"{BUCKET}/data/image_path", "--out", f"{BUCKET}/out/made"]
    assert selcn(*again) == 2
    assert fetched(bucket, "skin/out/made") == {}
    monkeypatch.setattr(storage, "upload", whole)
    monkeypatch.setattr("selcn.inference.batch.predict_files", None)  # nothing is predicted again
    assert selcn(*again) == 2
    monkeypatch.undo()
    monkeypatch.setenv(storage.CACHE, str(tmp_path / "cache"))
    there, here = fetched(bucket, "skin/out/made"), contents(tmp_path / "one")
    assert there.keys() == here.keys()
    assert {name for name in here if there[name] != here[name]} == {"plan.json", "predictions.jsonl", "predictions.csv"}
    local, remote = str(catalog.parent), f"{BUCKET}/data"
    assert there["predictions.csv"].decode() == here["predictions.csv"].decode().replace(local, remote)
    rows = [json.loads(line) for line in there["predictions.jsonl"].splitlines()]
    assert [row["image"] for row in rows] == storage.find(f"{remote}/image_path")
    # Overlays in the bucket are no images to predict.
    assert selcn(*words[:2], f"{BUCKET}/out", "--out", tmp_path / "none") == 2
    words = ["saliency", tiny_run / "bundle"]
    assert selcn(*words, catalog, "--out", tmp_path / "maps") == 0
    assert selcn(*words, f"{BUCKET}/data/catalog.csv", "--out", f"{BUCKET}/out/maps") == 0
    made = fetched(bucket, "skin/out/maps")
    assert {name: made[name] for name in ("saliency.npy", "index.csv")} == {
        name: (tmp_path / "maps" / name).read_bytes() for name in ("saliency.npy", "index.csv")
    }


@pytest.mark.usefixtures("catalog")
def test_a_storage_that_fails_stops_the_work_and_leaves_no_image_out(
    tiny_run: Path, selcn: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = storage.read

    def fail(path: Path) -> bytes:
        if "image_path" in str(path) and not broken.exists():
            raise StorageError(f"{path}: object storage cannot be used")
        return whole(path)

    broken = tmp_path / "mended"
    monkeypatch.setattr(storage, "read", fail)
    words = ["predict", tiny_run / "bundle", f"{BUCKET}/data/image_path", "--out", tmp_path / "out"]
    assert selcn(*words) == 2
    assert not (tmp_path / "out" / "predictions.jsonl").exists()
    assert selcn("prepare", f"{BUCKET}/data/catalog.csv", "--out", tmp_path / "store") == 2
    broken.touch()
    assert selcn(*words) == 0
    assert len((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()) == IMAGES
