"""`selcn audit` as a user types it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selcn.data.catalog import complete_catalog, read_catalog, write_catalog
from selcn.data.imaging.read import write_image

Selcn = Callable[..., int]


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    rows = []
    for n in range(12):
        coarse = generator.integers(30, 220, (6, 8, 3), dtype=np.uint8)
        write_image(tmp_path / f"{n}.png", coarse.repeat(8, axis=0).repeat(8, axis=1))
        path = str(tmp_path / f"{n}.png")
        rows.append({"image_id": str(n), "image_path": path, "lesion_id": f"L{n // 2}", "diagnosis": "nv"})
    write_catalog(complete_catalog(pd.DataFrame(rows), "catalog"), tmp_path / "catalog.csv")
    return tmp_path / "catalog.csv"


def test_a_sound_catalog_and_its_split_end_with_0(
    catalog: Path, tmp_path: Path, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert selcn("split", catalog, "--folds", 2, "--out", tmp_path / "split.json") == 0
    assert selcn("audit", catalog, "--split", tmp_path / "split.json") == 0
    assert "12 images: nothing blocks" in capsys.readouterr().out


def test_faults_end_with_1_and_are_fixed(
    catalog: Path, tmp_path: Path, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "3.png").write_bytes(b"broken")
    clean, found = tmp_path / "clean.csv", tmp_path / "audit.json"
    assert selcn("audit", catalog, "--fix", clean, "--out", found) == 1
    said = capsys.readouterr().out
    assert "1 findings block" in said
    assert "11 of 12 images kept, 0 masks dropped" in said
    assert json.loads(found.read_text())["findings"][0]["kind"] == "unreadable"
    assert len(read_catalog(clean)) == 11
    dropped = pd.read_csv(tmp_path / "clean.dropped.csv")
    assert dropped[["image_id", "kind", "action"]].to_numpy().tolist() == [[3, "unreadable", "row dropped"]]
    assert selcn("audit", clean) == 0


def test_stages_with_splits_of_their_own_are_checked_against_each_other(
    catalog: Path, tmp_path: Path, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, test in (("one", {"0", "1"}), ("two", {"2", "3"})):
        lines = [f"{n}.png,{'test' if str(n) in test else 'train'}" for n in range(12)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["image_id,part", *lines]))
    splits = ["--split", f"symmetry={tmp_path / 'one.csv'}", "--split", tmp_path / "two.csv"]
    assert selcn("audit", catalog, *splits, "--json") == 1
    details = [one["detail"] for one in json.loads(capsys.readouterr().out)["findings"] if one["kind"] == "leak-stage"]
    assert "2 images of the test part of symmetry train in two" in details
    assert "1 lesions (2 images) of the test part of two train in symmetry" in details
    assert selcn("audit", catalog, *splits[:2]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.csv"], "absent.csv: cannot be read"),
        (["{catalog}", "--split", "absent.json"], "absent.json: not a split"),
        (["{catalog}", "--split", "a/s.json", "--split", "b/s.json"], "two have one name; write NAME=SPLIT"),
    ],
)
def test_a_mistake_is_one_line_and_2(
    catalog: Path, arguments: list[str], message: str, selcn: Selcn, capsys: pytest.CaptureFixture[str]
) -> None:
    assert selcn("audit", *(text.format(catalog=catalog) for text in arguments)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
