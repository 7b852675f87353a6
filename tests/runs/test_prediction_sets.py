"""A bundle's prediction sets are those fitted to its run's out-of-fold lesions, and come with every prediction."""

from collections.abc import Callable
from pathlib import Path

import pytest

from selcn import load
from selcn.errors import ConfigError
from selcn.evaluation import fit_prediction_sets, fit_recalibration
from selcn.inference.given import Given
from selcn.runs import bundling, reliability
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
    assert "for 62.5 % of the images of each class" in (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")


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
