"""The scripts of benchmarks/: they run, and what they store is what docs/benchmarks.md shows. No time is asserted."""

import importlib
import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import speed
from selcn.training.compute import Compute

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
HELPERS = {"timing", "record", "gpu", "peers", "ten_million"}
"""Modules whose figures are not kept in docs/results/benchmarks.json, or that measure nothing."""


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def module(name: str) -> Any:
    return importlib.import_module(name)


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_imported_and_tells_what_it_measures(name: str) -> None:
    title = (module(name).__doc__ or "").splitlines()[0]
    assert title.endswith((".", "`)."))
    assert name in HELPERS or callable(module(name).measure)


def test_record_knows_every_benchmark_and_no_two_share_a_title() -> None:
    record = module("record")
    known = record.NAMES + record.ON_FILES
    assert sorted({*known} | HELPERS) == NAMES
    assert len({record.title(name) for name in known}) == len(known)
    assert {one.module for one in speed.COMPARED} | {"start", *speed.ONCE} <= {*known}


def test_a_recorded_benchmark_has_machine_and_day_and_replaces_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = module("record")
    kept = {"benchmark": record.title("store"), "figure": "ratio", "value": "2"}
    old = {"benchmark": record.title("losses"), "figure": "gone", "value": "1"}
    file = tmp_path / "benchmarks.json"
    file.write_text(json.dumps([kept, old]))
    monkeypatch.setattr(record, "OUT", file)
    record.main(["losses"])
    rows = json.loads(file.read_text())
    fresh = [row for row in rows if row["benchmark"] == record.title("losses")]
    assert [row for row in rows if row not in fresh] == [kept]
    assert {row["figure"] for row in fresh} >= {"ratio", "both losses to soft Dice alone"}
    assert all(row["processor"] and row["date"] and float(row["value"]) >= 0 for row in fresh)


def test_the_page_shows_machine_and_day_where_they_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = json.loads(speed.MEASURED.read_text(encoding="utf-8"))
    rows = [{name: row[name] for name in ("benchmark", "figure", "value")} for row in rows]
    where = {"processor": "Abacus 3", "date": "2001-02-03"}
    rows = [{**row, **where} if row["benchmark"] == speed.title("losses") else row for row in rows]
    file = tmp_path / "benchmarks.json"
    file.write_text(json.dumps(rows), encoding="utf-8")
    monkeypatch.setattr(speed, "MEASURED", file)
    page = speed.page()
    assert f"**{speed.title('losses')}**\n\nAbacus 3, 2001-02-03.\n\n| measure |" in page
    assert page.count("Abacus") == 1


def test_repeats_alternate_and_the_median_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    timing, calls = module("timing"), list[str]()
    clock = iter([0, 5, 0, 1, 0, 9, 0, 2, 0, 7, 0, 3])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    works = {name: lambda name=name: calls.append(name) for name in ("a", "b")}
    assert timing.medians(works, 3) == {"a": 7, "b": 2}
    assert calls == ["a", "b"] * 4


def test_a_linear_probe_is_trained_and_scored_beside_scikit_learn() -> None:
    found = module("probe").measure(420, 2, 1)
    assert found["iterations of all folds"] == 10
    assert 1 / 7 < found["scikit-learn, accuracy"] <= 1
    assert 0 <= found["selcn, accuracy"] <= 1


def test_the_gpu_benchmark_runs_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = module("gpu")
    monkeypatch.setattr(gpu, "BATCH", 2)
    monkeypatch.setattr(gpu, "ROUNDS", 1)
    monkeypatch.setattr(gpu, "Compute", partial(Compute, accelerator="cpu"))
    small = [f"{name}.batch=16" for name in ("lesion", "symmetry", "diagnosis")]
    small += [
        "lesion.architecture=Unet",
        "diagnosis.backbone=resnet10t",
        "symmetry.size=[64, 48]",
        "diagnosis.size=[64, 48]",
        "prepare={size: [64, 48], hair: false}",
    ]
    found = gpu.measure(96, "tu-test_resnet", *small)
    assert set(found) >= {"prediction, images/s", "lesion, bfloat16, images/s", "diagnosis, ratio"}
    assert all(value > 0 for name, value in found.items() if not name.endswith("idle, share"))
    assert all(math.isnan(value) for name, value in found.items() if name.endswith("idle, share"))
