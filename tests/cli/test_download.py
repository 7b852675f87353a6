"""`selcn download` as a user types it, from a server that holds small trees of the published shapes."""

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import dataset_trees as trees
import pytest
from file_server import FileServer, serving, zipped, zipped_folder

from selcn.data.catalog import read_catalog
from selcn.data.download import DataSet, RemoteFile, data_sets

Selcn = Callable[..., int]
STANDS_FOR = {
    "ISIC_2020_Training_JPEG.zip": "train",
    "ISIC_2020_Test_JPEG.zip": "test",
    "ISIC_2024_Training_Input.zip": "train-image",
    "ISIC_2024_Training_GroundTruth.csv": "train-metadata.csv",
}
"""What a published file is called in the tree, where that is of Kaggle's shape."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """The mirror; its small files do not have the published checksums."""
    unchecked = {
        name: one.model_copy(update={"files": tuple(file.model_copy(update={"checksum": ""}) for file in one.files)})
        for name, one in data_sets().items()
    }
    monkeypatch.setattr("selcn.data.download.sets.data_sets", lambda: unchecked)
    with serving() as running:
        monkeypatch.setenv("SELCN_DOWNLOAD_MIRROR", running.address)
        yield running


def hold(server: FileServer, data_set: DataSet, tree: Path) -> None:
    """Give the server the files of a data set, made of a tree; of what the tree lacks, files that say nothing."""
    for file in data_set.files:
        path = data_set.address(file, server.address).removeprefix(server.address + "/")
        server.files[path] = published(file, tree)


def published(file: RemoteFile, tree: Path) -> bytes:
    archive = file.name.endswith(".zip")
    found = next(tree.rglob(STANDS_FOR.get(file.name, file.name.removesuffix(".zip"))), None)
    if found is None:
        return zipped({"ATTRIBUTION.txt": b""}) if archive else b"nothing\n"
    return zipped_folder(found) if archive else found.read_bytes()


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("ham10000", 35),
        ("isic2016", 9),
        ("isic2017", 12),
        ("isic2018", 39),
        ("isic2019", 45),
        ("isic2020", 16),
        ("isic2024", 18),
        ("milk10k", 44),
        ("pad-ufes-20", 54),
    ],
)
def test_the_command_that_is_printed_reads_what_was_downloaded(
    name: str,
    images: int,
    server: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    selcn: Selcn,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data_set = data_sets()[name]
    (tmp_path / "publisher").mkdir()
    monkeypatch.chdir(tmp_path / "publisher")
    getattr(trees, name.replace("-", "_"))()
    hold(server, data_set, tmp_path / "publisher")
    monkeypatch.chdir(tmp_path)
    assert selcn("download", name, "--accept-licence") == 0
    said = capsys.readouterr().out
    assert f"licence: {data_set.licence}" in said
    assert f"{len(data_set.files)} of {len(data_set.files)} files, 0 of them with a published checksum" in said
    assert selcn(*shlex.split(said.partition("now type: selcn ")[2])) == 0
    rows = read_catalog(Path("catalog.csv"))
    assert len(rows) == images
    assert all(path.startswith(data_set.folder) for path in rows["image_path"])


def test_nothing_is_fetched_before_the_licence_is_accepted(
    server: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    selcn: Selcn,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert selcn("download", "symderm") == 2
    assert "--accept-licence: read the terms" in capsys.readouterr().err
    answers = [False, True]
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda _question: answers.pop(0))
    assert selcn("download", "symderm") == 2
    assert "nothing was downloaded" in capsys.readouterr().err
    assert server.asked == []
    hold(server, data_sets()["symderm"], tmp_path)
    assert selcn("download", "symderm", "--out", "my labels") == 0
    assert "--symmetry 'my labels'/SymDerm_v2_labels.csv" in capsys.readouterr().out
    assert Path("my labels/SymDerm_v2_labels.csv").exists()


@pytest.mark.parametrize("name", [name for name, one in data_sets().items() if one.by_hand])
def test_what_is_given_on_request_says_where_and_how(
    name: str, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert selcn("download", name, "--accept-licence") == 2
    said = capsys.readouterr().err
    assert data_sets()[name].page in said
    assert "then type: selcn index" in said


def test_the_data_sets_are_listed(selcn: Selcn, capsys: pytest.CaptureFixture[str]) -> None:
    assert selcn("download") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(data_sets())
