"""Pre-annotations are what a run or a bundle predicts, the least sure first, and come back into a catalog."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy

import selcn
from selcn.cli.annotations import Tool, export, import_
from selcn.data.catalog import read_catalog, write_catalog
from selcn.data.imaging.read import read_mask
from selcn.errors import ConfigError, DataError
from selcn.inference.batch import read_rows
from selcn.runs.annotating import normalised_entropy
from selcn.runs.folder import MASKS, RunFolder
from selcn.runs.run import open_run

pytest.importorskip("pycocotools.mask", reason="the extra `annotations` is not installed")


def test_entropy_is_that_of_scipy_over_its_largest() -> None:
    values = np.array([0.5, 0.25, 0.25, 0.0])
    assert normalised_entropy(values) == pytest.approx(entropy(values, base=4))
    assert normalised_entropy(np.array([0.5, 0.5])) == pytest.approx(1)


def test_a_run_s_masks_come_back_as_they_were_out_of_fold(tiny_run: Path, tmp_path: Path) -> None:
    run, out = open_run(tiny_run), tmp_path / "annotations"
    export(tiny_run, out=out, tool=Tool.LABEL_STUDIO)
    queue = pd.read_csv(out / "queue.csv")
    assert sorted(queue["image_id"]) == sorted(run.table["image_id"])
    assert queue["uncertainty"].is_monotonic_decreasing
    tasks = json.loads((out / "label-studio.json").read_text())
    assert [task["data"]["image_id"] for task in tasks] == queue["image_id"].tolist()
    submitted = [{"data": task["data"], "annotations": task["predictions"]} for task in tasks]
    (tmp_path / "export.json").write_text(json.dumps(submitted))
    import_(tmp_path / "export.json", RunFolder(tiny_run).catalog, out=tmp_path / "new.csv", by="anna")
    new = read_catalog(tmp_path / "new.csv")
    predicted = run.predictions("diagnosis").table.set_index("image_id")
    classes = run.labels("diagnosis").names
    expected = predicted.loc[new["image_id"], classes].idxmax(axis=1)
    assert new["diagnosis"].tolist() == expected.tolist()
    masks = run.output("lesion", MASKS)
    for row in range(0, len(new), 7):
        assert (read_mask(Path(new["mask_path"][row])) == masks[row]).all()  # the phantom has the store's size
    changes = pd.read_csv(tmp_path / "new.corrections.csv")
    kept = changes[(changes["column"] == "diagnosis") & (changes["change"] == "confirmed")]["image_id"]
    assert set(kept) == set(new["image_id"][run.table["diagnosis"] == new["diagnosis"]])


def test_a_bundle_s_answers_are_those_of_predict(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = read_catalog(RunFolder(tiny_run).catalog).head(3)
    table.loc[2, "image_path"] = str(tmp_path / "absent.png")
    write_catalog(table, tmp_path / "few.csv")
    with pytest.raises(DataError, match=r"1 files were left out: .*absent"):
        export(tiny_run / "bundle", tmp_path / "few.csv", out=tmp_path / "out", top=1)
    assert "coco.json: 1 images" in capsys.readouterr().out
    predictor = selcn.load(tiny_run / "bundle")
    rows = [row for row in read_rows(tmp_path / "out" / "annotations.jsonl") if "error" not in row]
    for row, path in zip(rows, table["image_path"], strict=False):
        prediction = predictor.predict(path)
        values = np.array(list(prediction["diagnosis"].probabilities.values()))
        assert row["words"]["diagnosis"] == prediction["diagnosis"].prediction
        assert row["confidence"] == pytest.approx(prediction["diagnosis"].confidence, abs=1e-5)
        assert row["uncertainty"] == pytest.approx(entropy(values, base=len(values)), abs=1e-5)
    surest = max(rows, key=lambda row: row["uncertainty"])["image_id"]
    assert [one["selcn_image_id"] for one in json.loads((tmp_path / "out/coco.json").read_text())["images"]] == [surest]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run, _: export(run, out=Path("unused"), address="http://"), "--address: goes with"),
        (lambda run, _: import_(run, run / "c.csv", out=run / "c.csv"), "is the catalog that is corrected"),
        (
            lambda run, empty: import_(empty, RunFolder(run).catalog, out=run / "c.csv"),
            "holds no annotations by people",
        ),
    ],
)
def test_a_mistake_is_refused_before_anything_is_written(
    call: Callable[[Path, Path], None], message: str, tiny_run: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text('[{"data": {}, "annotations": []}]')
    with pytest.raises(ConfigError, match=message):
        call(tiny_run, empty)
