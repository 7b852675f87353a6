from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from selcn.evaluation import Predictions
from selcn.evaluation.calibration import calibration_metrics, reliability
from selcn.labels import SYMMETRY_BINARY

DrawPredictions = Callable[..., Predictions]


def test_a_reliability_table_counted_by_hand() -> None:
    names = SYMMETRY_BINARY.names
    share = np.asarray([0.9, 0.85, 0.6, 0.3])
    keys = {"image_id": list("abcd"), "group": list("abcd"), "fold": "test"}
    truth = [names[0], names[1], names[0], names[1]]
    table = pd.DataFrame({**keys, "truth": truth, names[0]: share, names[1]: 1 - share})
    found = reliability(Predictions.of(table), bins=5)
    assert found["images"].tolist() == [0, 0, 1, 1, 2]
    assert found["confidence"].tolist()[2:] == pytest.approx([0.6, 0.7, 0.875])
    assert found["accuracy"].tolist()[2:] == [1, 1, 0.5]
    assert found["accuracy"].isna().tolist() == [True, True, False, False, False]
    assert found["low"].tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert found["high"].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])


def test_the_calibration_error_is_the_mean_gap_of_the_reliability_table(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions(images=300, lesions=200)
    table = reliability(predictions).dropna()
    gap = np.average((table["confidence"] - table["accuracy"]).abs(), weights=table["images"])
    found = calibration_metrics(predictions.truth, predictions.probabilities, predictions.predicted, np.ones((1, 300)))
    assert found["ece"][0] == pytest.approx(gap, abs=1e-12)
