"""When a report is written again."""

import os
from pathlib import Path

import pytest

import selcn.report as report
from selcn.errors import RunError
from selcn.report import refresh_report
from selcn.runs.folder import MANIFEST, RunFolder


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The pages that were written, each an empty file."""
    pages: list[Path] = []

    def write(_path: Path, out: Path) -> None:
        pages.append(out)
        out.touch()

    monkeypatch.setattr(report, "write_report", write)
    return pages


def test_a_report_is_written_where_it_is_missing_or_older_than_the_evaluation(run: Path, written: list[Path]) -> None:
    page, evaluated = RunFolder(run).report, RunFolder(run).evaluation / MANIFEST
    assert refresh_report(run) == page
    assert refresh_report(run) == page
    assert written == [page]
    later = page.stat().st_mtime + 10
    bytes_of = evaluated.read_bytes()
    evaluated.unlink()
    evaluated.write_bytes(bytes_of)
    os.utime(evaluated, (later, later))
    refresh_report(run)
    assert written == [page, page]


def test_a_report_is_written_anew_and_elsewhere_when_asked(run: Path, written: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    assert refresh_report(run, other) == other
    refresh_report(run, other)
    refresh_report(run, other, anew=True)
    assert written == [other, other]


def test_a_report_of_an_unfinished_run_is_refused_though_there_is_an_old_one(run: Path) -> None:
    RunFolder(run).report.write_text("old")
    (RunFolder(run).evaluation / MANIFEST).unlink()
    with pytest.raises(RunError, match="step evaluation has not finished"):
        refresh_report(run)
    assert RunFolder(run).report.read_text() == "old"
