"""Predictions with true results given, against the members' passes one by one."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from selcn.cli import main
from selcn.data.datasets import as_floats, gather_images
from selcn.errors import ConfigError, DataError
from selcn.evaluation.comparison import compare
from selcn.evaluation.predictions import Predictions, read_predictions
from selcn.models.explained import explain
from selcn.models.masking import apply_masking
from selcn.runs.run import Run, open_run
from selcn.runs.upper_bounds import predict_given, upper_bounds


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    """The tiny run, to write into."""
    folder = tmp_path / "run"
    folder.mkdir()
    for path in tiny_run.iterdir():
        if path.is_dir() and not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    shutil.copy(tiny_run / "config.yaml", folder)
    return open_run(folder)


@pytest.fixture
def masked(run: Run) -> Run:
    """The run with a symmetry network that sees the box of the lesion; its predictions are of one that does not."""
    tree = yaml.safe_load(run.folder.config.read_text())
    tree["networks"]["symmetry"]["masking"] = "lae"
    run.folder.config.write_text(yaml.safe_dump(tree, sort_keys=False))
    return open_run(run.folder.path)


def of_test(predictions: Predictions) -> pd.DataFrame:
    return predictions.table[predictions.table["fold"] == "test"].reset_index(drop=True)


def test_nothing_given_is_the_run_s_own_prediction(run: Run) -> None:
    for name in ("diagnosis", "symmetry"):
        again, own = read_predictions(predict_given(run, name, ())), of_test(run.predictions(name))
        assert again.table["image_id"].tolist() == own["image_id"].tolist()
        names = run.labels(name).names
        assert np.abs(again.table[names].to_numpy() - own[names].to_numpy()).max() < 1e-5


def test_true_classes_hand_on_the_saliency_of_those_classes(run: Run) -> None:
    table = upper_bounds(run, ["symmetry"], resamples=50)
    path = run.folder.given_file("diagnosis", ["symmetry"])
    found, names = read_predictions(path).table.set_index("image_id"), run.labels("diagnosis").names
    rows, probabilities = run.test_rows[:5], []
    images = as_floats(gather_images(run.store, rows))
    truth = torch.tensor(run.labels("symmetry").numbers(run.table["symmetry"].iloc[rows]))
    assert (truth >= 0).all()
    with torch.inference_mode():
        for fold in range(2):
            symmetry, diagnosis = (run.network(name, fold).eval() for name in ("symmetry", "diagnosis"))
            saliency = explain(symmetry.trace(images), truth)  # type: ignore[operator]
            probabilities.append(diagnosis(images, [saliency]).softmax(1))
    expected = torch.stack(probabilities).mean(0).numpy()
    assert np.abs(found.loc[run.table["image_id"].iloc[rows], names].to_numpy() - expected).max() < 1e-5
    own = Predictions(run.labels("diagnosis"), of_test(run.predictions("diagnosis")))
    pd.testing.assert_frame_equal(
        table.drop(columns=["given", "known"]), compare(own, read_predictions(path), resamples=50), atol=1e-9
    )
    assert set(table["given"]) == {"symmetry"}
    assert set(table["known"]) == {len(run.test_rows)}


def test_true_masks_are_seen_where_they_are_known(masked: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = masked.test_rows
    known = masked.store.has_mask.copy()
    known[rows[0]] = False
    monkeypatch.setitem(masked.__dict__, "store", replace(masked.store, has_mask=known))
    found = read_predictions(predict_given(masked, "symmetry", ["mask"])).table.set_index("image_id")
    images, probabilities = as_floats(gather_images(masked.store, rows)), []
    masks = torch.from_numpy(np.asarray(masked.store.masks[rows]))[:, None].float()
    with torch.inference_mode():
        for fold in range(2):
            lesion, symmetry = (masked.network(name, fold).eval() for name in ("lesion", "symmetry"))
            masks[0] = (lesion(images[:1]).sigmoid() > 0.5).float()
            probabilities.append(symmetry(apply_masking(images, masks, "lae")).softmax(1))
    expected = torch.stack(probabilities).mean(0).numpy()
    values = found.loc[masked.table["image_id"].iloc[rows], masked.labels("symmetry").names].to_numpy()
    assert np.abs(values - expected).max() < 1e-5


def test_each_is_given_alone_and_all_together_and_files_are_reused(
    masked: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = upper_bounds(masked, ["symmetry", "mask"], resamples=20)
    assert list(dict.fromkeys(table["given"])) == ["mask", "symmetry", "mask+symmetry"]
    monkeypatch.setattr(Run, "cascade", lambda *_: pytest.fail("predicted again"))
    pd.testing.assert_frame_equal(upper_bounds(masked, ["mask", "symmetry", "mask"], resamples=20), table)


def test_what_cannot_be_given_is_one_line(run: Run) -> None:
    for given, network, said in (
        (["mask"], None, "--given mask: diagnosis depends on symmetry; give one of these"),
        (["diagnosis"], None, "--given diagnosis: diagnosis depends on symmetry"),
        (["symmetry"], "diagnosis-standalone", "diagnosis-standalone depends on nothing"),
        (["mask"], "lesion", "network lesion: is no classifier"),
        (["symmetry"], "streaks", "has no network streaks"),
    ):
        with pytest.raises(ConfigError, match=said):
            upper_bounds(run, given, network)
    unknown = replace(run, table=run.table.assign(symmetry=""))
    with pytest.raises(DataError, match="no test image has a true symmetry; leave it out"):
        upper_bounds(unknown, ["symmetry"])


def test_the_command_prints_differences(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["selcn", "evaluate", str(run.folder.path), "--given", "symmetry", "--resamples", "20"]
    monkeypatch.setattr("sys.argv", [*command, "--json"])
    with pytest.raises(SystemExit, match="0"):
        main()
    rows = json.loads(capsys.readouterr().out)
    assert {row["given"] for row in rows} == {"symmetry"}
    assert {"metric", "value", "low", "high", "p"} < rows[0].keys()
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit, match="0"):
        main()
    assert "balanced_accuracy" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*command, "--calibrate"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "--given: give one run's folder" in capsys.readouterr().err
