"""Work in parts: whole or not at all, and resumable."""

from pathlib import Path

import pytest
from filelock import FileLock

from selcn.errors import DataError
from selcn.io.resume import work_in_parts


class Work:
    """Writes each part's number; dies before one of them."""

    def __init__(self, dies_before: int | None = None) -> None:
        self.done: list[int] = []
        self.dies_before = dies_before

    def do(self, number: int, folder: Path) -> None:
        """Write a part."""
        (folder / "begun").touch()
        if number == self.dies_before:
            raise KeyboardInterrupt
        (folder / "number").write_text(f"{number}")
        self.done.append(number)


def seal(parts: list[Path], folder: Path) -> None:
    """Join all numbers."""
    (folder / "all").write_text(" ".join((part / "number").read_text() for part in parts))


def test_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    out, first, second = tmp_path / "out", Work(dies_before=2), Work()
    with pytest.raises(KeyboardInterrupt):
        work_in_parts(out, {"seed": 1}, 4, first.do, seal)
    assert not out.exists()
    progress: list[tuple[int, int]] = []
    work_in_parts(out, {"seed": 1}, 4, second.do, seal, lambda *done: progress.append(done))
    assert (first.done, second.done) == ([0, 1], [2, 3])
    assert (out / "all").read_text() == "0 1 2 3"
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["out"]


def test_parts_of_another_plan_are_not_used(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        work_in_parts(tmp_path / "out", {"seed": 1}, 4, Work(dies_before=2).do, seal)
    work = Work()
    work_in_parts(tmp_path / "out", {"seed": 2}, 4, work.do, seal)
    assert work.done == [0, 1, 2, 3]


def test_a_result_stays_and_another_is_refused(tmp_path: Path) -> None:
    work_in_parts(tmp_path / "out", {"seed": 1}, 2, Work().do, seal)
    again = Work()
    work_in_parts(tmp_path / "out", {"seed": 1}, 2, again.do, seal)
    assert again.done == []
    with pytest.raises(DataError, match="exists already and holds something else"):
        work_in_parts(tmp_path / "out", {"seed": 2}, 2, again.do, seal)


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".working-out.lock"), pytest.raises(DataError, match="another process is making it"):
        work_in_parts(tmp_path / "out", {}, 1, Work().do, seal)
