"""Files of every kind to their figures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selcn.errors import DataError
from selcn.evaluation import Predictions, evaluate_file, fit_temperature, write_predictions
from selcn.labels import BinarySymmetry

PROBABILITIES = pd.DataFrame({"asymmetric": [0.9, 0.6, 0.25, 0.5], "symmetric": [0.1, 0.4, 0.75, 0.5]})


def test_without_a_truth_what_needs_none_is_given(tmp_path: Path) -> None:
    PROBABILITIES.assign(image_id=list("abcd")).to_csv(tmp_path / "p.csv", index=False)
    figures = evaluate_file(tmp_path / "p.csv", resamples=50).set_index("metric")
    entropies = [-(p * np.log(p) + (1 - p) * np.log(1 - p)) for p in PROBABILITIES["asymmetric"]]
    assert figures["value"].to_dict() == pytest.approx(
        {
            "predicted_asymmetric": 3 / 4,
            "predicted_symmetric": 1 / 4,
            "mean_confidence": (0.9 + 0.6 + 0.75 + 0.5) / 4,
            "mean_entropy": float(np.mean(entropies)),
        }
    )
    assert figures["images"].unique().tolist() == [4]


def test_without_a_truth_rows_are_checked_all_the_same(tmp_path: Path) -> None:
    PROBABILITIES.assign(image_id=list("abca")).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError, match="a doubled image_id: line 5"):
        evaluate_file(tmp_path / "p.csv")
    (PROBABILITIES * 2).assign(image_id=list("abcd")).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError, match="outside 0 to 1"):
        evaluate_file(tmp_path / "p.csv")


def test_a_temperature_is_fitted_on_validation_and_applied_to_all(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(2, size=80)
    sure = np.clip(np.where(generator.random(80) < 0.7, truth, 1 - truth), 0.02, 0.98)  # 70 % right, 98 % sure
    ids = [f"i{number}" for number in range(80)]
    names = BinarySymmetry.names()
    table = pd.DataFrame({"image_id": ids, "group": ids, "fold": ["test"] * 40 + ["0"] * 40})
    table = table.assign(truth=np.asarray(names)[truth], asymmetric=1 - sure, symmetric=sure)
    predictions = Predictions.of(table)
    write_predictions(predictions, tmp_path / "p.csv")
    plain, calibrated = (
        evaluate_file(tmp_path / "p.csv", calibrate=which, resamples=20).set_index(["metric", "fold_part"])["value"]
        for which in (False, True)
    )
    assert calibrated["ece", "test"] < plain["ece", "test"]
    assert calibrated["accuracy", "test"] == plain["accuracy", "test"]
    own = fit_temperature(predictions).of(predictions).probabilities[np.arange(80), truth]
    assert calibrated["nll", "test"] == pytest.approx(-np.log(own[:40]).mean())


def test_saliency_scores_are_told_by_their_column(tmp_path: Path) -> None:
    keys = {"image_id": ["a", "b"], "group": ["a", "b"], "fold": "test", "head": "symmetry", "against": "lesion"}
    table = pd.DataFrame(keys).assign(saliency="network", energy=[0.25, 0.75], overlap=["", 0.5])
    table.to_csv(tmp_path / "s.csv", index=False)
    figures = evaluate_file(tmp_path / "s.csv", resamples=20).set_index("metric")
    assert figures["value"].to_dict() == {"overlap": 0.5, "energy": 0.5}
    assert figures["images"].to_dict() == {"overlap": 1, "energy": 2}
