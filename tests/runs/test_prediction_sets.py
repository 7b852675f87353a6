"""A bundle's prediction sets are those fitted to its run's out-of-fold lesions, and come with every prediction."""

from pathlib import Path

import pytest

import selcn
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
    assert selcn.load(tiny_run / "bundle").config.sets is None, "a class has too few lesions"
    assert "There are no prediction sets" in (tiny_run / "bundle" / "README.md").read_text(encoding="utf-8")

    monkeypatch.setattr(reliability, "SET_COVERAGE", 0.5)
    bundling.bundle_run(tiny_run, tmp_path / "bundle")
    predictor = selcn.load(tmp_path / "bundle")
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
