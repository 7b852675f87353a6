import hashlib
import shutil
from pathlib import Path

import pytest

from selcn.io.files import remove_folder, sha256, write_text, written_whole


def test_a_file_or_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    with written_whole(tmp_path / "new" / "file.png") as partial:
        partial.write_bytes(b"x")
        assert partial.suffix == ".png"
        assert not (tmp_path / "new" / "file.png").exists()
    with written_whole(tmp_path / "new" / "folder") as partial:
        partial.mkdir()
        (partial / "inside").touch()
    assert sorted(path.name for path in (tmp_path / "new").rglob("*")) == ["file.png", "folder", "inside"]


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")

    def fail() -> None:
        with written_whole(tmp_path / "a") as partial:
            partial.write_text("half")
            raise RuntimeError("full disk")

    with pytest.raises(RuntimeError, match="full disk"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_what_a_killed_attempt_left_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / ".partial-store").mkdir()
    (tmp_path / ".partial-store" / "left").touch()
    with written_whole(tmp_path / "store") as partial:
        partial.mkdir()
    assert not list((tmp_path / "store").iterdir())


def test_checksums_are_those_of_hashlib(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256(tmp_path / "x") == hashlib.sha256(b"abc").hexdigest()


def test_a_folder_is_removed_though_a_file_is_written_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, calls, whole = tmp_path / "work", list[Path](), shutil.rmtree

    def late(path: Path, *, ignore_errors: bool = False) -> None:
        whole(path, ignore_errors=ignore_errors)
        if not calls:
            path.mkdir()
            (path / "late").touch()
        calls.append(path)

    folder.mkdir()
    monkeypatch.setattr(shutil, "rmtree", late)
    remove_folder(folder)
    assert calls == [folder, folder]
    assert not folder.exists()
