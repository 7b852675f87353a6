"""A bundle's prediction sets are those fitted to its run's out-of-fold lesions, and come with every prediction."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from selcn import load
from selcn.errors import ConfigError
from selcn.evaluation import (
    PredictionSets,
    Recalibration,
    fit_prediction_sets,
    fit_recalibration,
    prediction_set_table,
    read_predictions,
)
from selcn.inference.given import Given
from selcn.runs import bundling, reliability
from selcn.runs.bundle_scores import score_bundle
from selcn.runs.run import open_run
from selcn.serving.schema import answer_model


def test_a_bundle_has_the_sets_of_its_run(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictions = open_run(tiny_run).predictions("diagnosis")
    calibrated = fit_recalibration(predictions).of(predictions)
    with pytest.raises(ConfigError, match="out-of-fold lesions a class"):
        fit_prediction_sets(calibrated, reliability.SET_COVERAGE)
    assert load(tiny_run / "bundle").config.sets is None, "a class has too few lesions"
    assert "There are no prediction sets" in (tiny_run / "bundle" / "README.md").read_text(encoding="utf-8")

    monkeypatch.setattr(reliability, "SET_COVERAGE", 0.5)
    bundling.bundle_run(tiny_run, tmp_path / "bundle")
    predictor = load(tmp_path / "bundle")
    sets = predictor.config.sets
    assert sets is not None
    assert sets.lowest == pytest.approx(fit_prediction_sets(calibrated, 0.5).thresholds)
    assert list(sets.lowest) == predictions.classes

    measured = predictor.config.reliability.networks["diagnosis"]  # type: ignore[union-attr]
    by_bundle = Recalibration(measured.temperature, measured.bias).of(predictions)
    own = prediction_set_table(by_bundle, PredictionSets(sets.coverage, sets.lowest, {}), resamples=20)
    anew = prediction_set_table(calibrated, 0.5, resamples=20)
    pd.testing.assert_frame_equal(own.drop(columns="lesions"), anew.drop(columns="lesions"))

    run = open_run(tiny_run)
    tested = run.table.iloc[run.test_rows].reset_index(drop=True)
    score_bundle([predictor], tmp_path / "bundle", tested, tmp_path / "out", resamples=20)
    scored = read_predictions(tmp_path / "out" / "diagnosis.csv").table
    found = pd.read_csv(tmp_path / "out" / "sets.csv").set_index(["of", "subgroup"])
    assert "lesions" not in found
    for name, rows in scored.groupby("truth"):
        hit = rows[name] >= sets.lowest[str(name)]
        values = [*found.loc[("class", name), ["coverage", "coverage_by_lesion", "threshold"]]]
        assert values == pytest.approx([hit.mean(), hit.groupby(rows["group"]).mean().mean(), sets.lowest[str(name)]])

    image = sorted((tiny_run / "data" / "phantom" / "images").iterdir())[0]
    prediction = predictor.predict(image)
    probabilities = prediction["diagnosis"].probabilities
    held = [name for name, value in probabilities.items() if value >= sets.lowest[name]]
    assert prediction.to_json()["set"] == held
    over_http = answer_model(predictor.config).model_json_schema()["$defs"]["Row"]
    assert over_http["properties"]["set"]["items"] == {"type": "string"}
    assert "set" in over_http["required"]
    given = predictor.predict(image, Given(classes={"diagnosis": "mel"}))
    assert given.set == ("mel",)


def test_a_stated_coverage_is_that_of_the_sets(tiny_run: Path, tmp_path: Path) -> None:
    predictions = open_run(tiny_run).predictions("symmetry")
    calibrated = fit_recalibration(predictions).of(predictions)
    asked = bundling.BundleOptions(coverage=0.625)
    config = bundling.bundle_run(tiny_run, tmp_path / "bundle", "symmetry", asked)
    assert config.sets is not None
    assert config.sets.coverage == 0.625
    assert config.sets.lowest == pytest.approx(fit_prediction_sets(calibrated, 0.625).thresholds)
    assert "for 62.5 % of each class" in (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")


def test_a_coverage_that_cannot_be_is_one_line(
    tiny_run: Path, tmp_path: Path, selcn: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        (["--coverage", 1], "--coverage 1: give a share above 0 and below 1, of a bundle of classes"),
        (
            ["--coverage", 0.9, "--network", "lesion"],
            "--coverage 0.9: give a share above 0 and below 1, of a",
        ),
        (["--coverage", 0.999], "coverage 0.999 needs 999 out-of-fold lesions a class, but "),
    ):
        assert selcn("bundle", tiny_run, *arguments, "--out", tmp_path / "none") == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
        assert not (tmp_path / "none").exists()
