"""A bundle scored on a catalog says what its run said of the same images; sheets and masks of a run's images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from selcn.cli import main
from selcn.data.catalog import write_catalog
from selcn.data.imaging.prepare import resize
from selcn.data.imaging.read import read_image
from selcn.evaluation import evaluate_file, read_predictions
from selcn.inference.overlay import arrange, blend_saliency, panel_size
from selcn.report import saliency_sheets
from selcn.report.saliency_sheets import PANEL_WIDTHS
from selcn.runs.run import Run, open_run


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return open_run(tiny_run)


def selcn(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """Exit code of a command."""
    monkeypatch.setattr("sys.argv", ["selcn", *map(str, words)])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_a_bundle_is_scored_as_its_run_was(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tested = run.table.iloc[run.test_rows].reset_index(drop=True)
    tested.loc[0, "mask_path"], tested.loc[1, "diagnosis"] = "", ""
    catalog, out = tmp_path / "catalog.csv", tmp_path / "out"
    write_catalog(tested, catalog)
    command = ["evaluate", run.folder.bundle, catalog, "--out", out, "--resamples", "50"]
    with monkeypatch.context() as interrupted:  # after the first batch; the same command resumes
        interrupted.setattr("selcn.runs.bundle_scores._scored", _stopping(8))
        assert selcn(monkeypatch, *command) == 130
    capsys.readouterr()
    assert selcn(monkeypatch, *command, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert (said["images"], said["seen"], said["failed"]) == (len(tested), 0, [])
    assert said["without_truth"] == {"lesion": 1, "symmetry": 0, "diagnosis": 1}
    ours, theirs = (
        pd.read_csv(path).set_index("image_id") for path in (out / "lesion.csv", run.folder.prediction_file("lesion"))
    )
    assert len(ours) == len(tested) - 1
    np.testing.assert_allclose(ours["dice"], theirs.loc[ours.index, "dice"], atol=1e-6)
    one, other = read_predictions(out / "diagnosis.csv"), run.predictions("diagnosis").table.set_index("image_id")
    expected = other.loc[one.table["image_id"], one.classes].to_numpy().argmax(axis=1)
    assert (one.predicted == expected).all()  # calibrated, which changes probabilities alone
    metrics = pd.DataFrame(said["metrics"])
    accuracy = metrics[(metrics["network"] == "diagnosis") & (metrics["metric"] == "accuracy")].iloc[0]
    assert accuracy["value"] == pytest.approx((expected == one.truth).mean())
    again = evaluate_file(out / "diagnosis.csv", resamples=50)
    assert again[again["metric"] == "accuracy"].iloc[0]["low"] == pytest.approx(accuracy["low"])


def _stopping(after: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from selcn.runs import bundle_scores

    scored, calls = bundle_scores._scored, iter(range(after))

    def stop(*arguments):  # type: ignore[no-untyped-def]  # noqa: ANN002, ANN202
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return scored(*arguments)

    return stop


def test_lesions_that_were_trained_on_are_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_catalog(
        run.table.iloc[[*run.test_rows[:3], *run.fold_rows[0][:2]]].reset_index(drop=True), tmp_path / "c.csv"
    )
    command = ["evaluate", run.folder.bundle, tmp_path / "c.csv", "--out", tmp_path / "out", "--resamples", "5"]
    assert selcn(monkeypatch, *command) == 2
    assert "was trained on lesions or images of 2 of the 5 images" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert selcn(monkeypatch, *command, "--overlap") == 0
    assert "trained on lesions of 2" in capsys.readouterr().out


def test_masks_of_the_test_subset_are_those_of_the_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "masks"
    assert selcn(monkeypatch, "mask", run.folder.path, "--subset", "test", "--kind", "binary", "--out", out) == 0
    boxes = pd.read_csv(out / "boxes.csv")
    assert boxes["image"].tolist() == run.table["image_path"].iloc[run.test_rows].tolist()
    masks = run.output("lesion", "masks.npy")
    for file, row in zip(boxes["file"], run.test_rows, strict=True):
        assert (read_image(out / "segmentation-binary" / file)[..., 0] > 0).tolist() == (masks[row] > 0).tolist()
    assert selcn(monkeypatch, "mask", run.folder.path) == 2
    assert "--subset test" in capsys.readouterr().err


def test_a_sheet_shows_the_run_s_map_of_every_network(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = int(run.test_rows[0])
    name, bell = str(run.table["image_id"].iloc[row]), np.linspace(0, 1, 36, dtype=np.float32).reshape(6, 6)
    maps = {"symmetry": bell, "diagnosis": bell.T, "diagnosis-standalone": 1 - bell}
    undefined, captions = {("symmetry", "probabilities.npy"): {row: [np.nan, np.nan]}}, list[list[str]]()
    known = {(one, "saliency.npy"): {row: saliency} for one, saliency in maps.items()} | undefined
    real, draw = Run.output, arrange

    def recorded(*given: Any) -> Any:
        captions.extend(given[1])
        return draw(*given)

    monkeypatch.setattr(Run, "output", lambda self, *asked: known[asked] if asked in known else real(self, *asked))
    monkeypatch.setattr(saliency_sheets, "arrange", recorded)
    assert selcn(monkeypatch, "saliency", run.folder.path, "--sheet", name, "--out", tmp_path) == 0
    sheet = read_image(tmp_path / "sheets" / f"{name}.png")
    image = read_image(Path(run.table["image_path"].iloc[row]))
    panel = resize(image, panel_size(image, *PANEL_WIDTHS))
    height, width = panel.shape[:2]
    found = []
    for saliency in maps.values():
        drawn = blend_saliency(panel, saliency)
        corners = np.argwhere((sheet[: 1 - height, : 1 - width] == drawn[0, 0]).all(-1))
        (place,) = [(y, x) for y, x in corners if (sheet[y : y + height, x : x + width] == drawn).all()]
        found.append(place)
    assert found == sorted(found)  # in the graph's order
    answers = {one[0]: one[1] for one in captions if one[0] in maps}
    assert answers["symmetry"] == "undefined"
    assert float(answers["diagnosis"].split()[1]) >= 1 / 7
    assert selcn(monkeypatch, "saliency", run.folder.path, "--sheet", "nobody", "--out", tmp_path) == 2
