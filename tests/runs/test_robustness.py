"""A bundle on corrupted images: each row is what the bundle says of that image; resumable, and shown by the report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import selcn
from selcn.data.catalog import write_catalog
from selcn.data.corruptions import corrupt, generator_of
from selcn.data.imaging.read import read_image
from selcn.inference.given import Given
from selcn.report.robustness_section import robustness_section
from selcn.runs import robustness
from selcn.runs.run import open_run

CORRUPTIONS = ["--corruption", "noise", "--corruption", "rotation"]


def test_rows_are_what_the_bundle_says_of_each_image_and_an_interrupted_command_resumes(
    tiny_run: Path,
    tmp_path: Path,
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [tiny_run, *CORRUPTIONS, "--images", 4, "--seed", 3, "--out", tmp_path / "robust"]
    measured: list[str] = []
    real = robustness._image_rows

    def counted(predictor: Any, entry: pd.Series, names: Any, seed: int) -> Any:
        measured.append(entry["image_id"])
        if len(measured) == 3:
            raise KeyboardInterrupt
        return real(predictor, entry, names, seed)

    monkeypatch.setattr(robustness, "_image_rows", counted)
    assert command("robustness", *words) == 130
    assert command("robustness", *words) == 0
    assert len(measured) == 5, "two images were finished before"
    capsys.readouterr()
    assert command("robustness", *words, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((tmp_path / "robust" / "robustness.json").read_text(encoding="utf-8"))
    assert (said["images"], said["without_truth"], said["failed"]) == (4, 0, [])

    scores, predictor = pd.read_csv(tmp_path / "robust" / "scores.csv"), selcn.load(tiny_run / "bundle")
    assert len(scores) == 4 * 11
    paths = open_run(tiny_run).table.set_index("image_id")["image_path"]
    clean, spoiled = scores.iloc[0], scores[scores["corruption"] == "noise"].iloc[4]
    image = read_image(Path(paths[clean["image_id"]]))
    noisy = corrupt(image, "noise", 5, generator_of(3, clean["image_id"], "noise"))
    before, after = predictor.predict(image), predictor.predict(noisy)
    for row, prediction in ((clean, before), (spoiled, after)):
        expected = list(prediction["diagnosis"].probabilities.values())
        np.testing.assert_allclose(
            row[list(prediction["diagnosis"].probabilities)].to_numpy(float), expected, atol=1e-4
        )
        assert row["abstained"] == prediction.abstain
    kept = Given(classes={"diagnosis": before["diagnosis"].prediction})
    maps = [before["diagnosis"].saliency, predictor.predict(noisy, kept)["diagnosis"].saliency]
    if all(np.ptp(one) for one in maps):
        correlation = spearmanr(maps[0].ravel(), maps[1].ravel()).statistic
        assert spoiled["saliency"] == pytest.approx(correlation, abs=0.02)
    metrics = pd.DataFrame(said["metrics"]).set_index(["corruption", "severity", "metric"])
    fourth = scores[(scores["corruption"] == "noise") & (scores["severity"] == 4)]
    accuracy = (fourth["predicted"] == fourth["truth"]).mean()
    assert metrics.loc[("noise", "4", "accuracy"), "value"] == pytest.approx(accuracy)


def test_the_report_of_a_run_shows_it(
    tiny_run: Path, tmp_path: Path, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(tiny_run)
    assert robustness_section(run) is None
    assert command("robustness", tiny_run, *CORRUPTIONS, "--images", 2, "--out", tmp_path / "robust") == 0
    monkeypatch.setattr(type(run.folder), "robustness", tmp_path / "robust")
    section = robustness_section(run)
    assert section is not None
    values, differences = section.tables
    assert list(values.rows) == ["clean", "noise", "rotation", "all corruptions"]
    clean, noise = (values.rows[name]["accuracy"].estimate.value for name in ("clean", "noise"))
    assert differences.rows["noise"]["accuracy"].estimate.value == pytest.approx(noise - clean)
    assert len(section.charts) == len(values.metrics) >= 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["RUN", "--corruption", "fog"], "corruption fog: unknown; known are defocus"),
        (["RUN/bundle"], "RUN/bundle: is a bundle; give a catalog of images that it was not trained on behind it"),
        (["RUN/bundle", "FOLDS"], "RUN/bundle: was trained on lesions or images of 2 of the 2 images"),
        (["RUN/bundle", "UNKNOWN"], "no image has a class of diagnosis in the column diagnosis; fill it in"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    words: list[str],
    message: str,
    tiny_run: Path,
    tmp_path: Path,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = open_run(tiny_run)
    places = {"RUN": str(tiny_run), "FOLDS": str(tmp_path / "folds.csv"), "UNKNOWN": str(tmp_path / "unknown.csv")}
    write_catalog(run.table.iloc[run.fold_rows[0][:2]].reset_index(drop=True), tmp_path / "folds.csv")
    unknown = run.table.iloc[run.test_rows[:2]].reset_index(drop=True).assign(diagnosis="")
    write_catalog(unknown, tmp_path / "unknown.csv")
    for name, place in places.items():
        words, message = [one.replace(name, place) for one in words], message.replace(name, place)
    assert command("robustness", *words, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
