from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from selcn.errors import DataError
from selcn.evaluation import Predictions
from selcn.evaluation.calibration import Temperature, fit_temperature, reliability
from selcn.labels import BinarySymmetry

DrawPredictions = Callable[..., Predictions]


def test_a_reliability_table_counted_by_hand() -> None:
    names = BinarySymmetry.names()
    share = np.asarray([0.9, 0.85, 0.6, 0.3])
    keys = {"image_id": list("abcd"), "group": list("abcd"), "fold": "test"}
    truth = [names[0], names[1], names[0], names[1]]
    table = pd.DataFrame({**keys, "truth": truth, names[0]: share, names[1]: 1 - share})
    found = reliability(Predictions.of(table), bins=5)
    assert found["images"].tolist() == [0, 0, 1, 1, 2]
    assert found["confidence"].tolist()[2:] == pytest.approx([0.6, 0.7, 0.875])
    assert found["accuracy"].tolist()[2:] == [1, 1, 0.5]
    assert found["accuracy"].isna().tolist() == [True, True, False, False, False]


def test_a_temperature_is_the_one_of_least_loss_on_validation_alone(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions(images=400, lesions=300)
    sharp = Temperature(1 / 3).of(predictions)  # three times as sure as it was
    held = (sharp.table["fold"] != "test").to_numpy()
    logits = np.log(sharp.probabilities[held])

    def loss(value: np.ndarray) -> float:
        scaled = log_softmax(logits / value, axis=1)
        return float(-scaled[np.arange(len(scaled)), sharp.truth[held]].mean())

    expected = float(minimize(loss, x0=[1.0], method="Nelder-Mead").x[0])
    assert fit_temperature(sharp).value == pytest.approx(expected, abs=1e-3)
    spoilt = sharp.table.copy()
    spoilt.loc[~held, "truth"] = sharp.classes[0]
    assert fit_temperature(Predictions(sharp.classes, spoilt)).value == fit_temperature(sharp).value


def test_a_temperature_changes_no_answer(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions()
    for value in (0.3, 1.0, 5.0):
        changed = Temperature(value).of(predictions)
        assert (changed.probabilities.argmax(axis=1) == predictions.probabilities.argmax(axis=1)).all()
        assert changed.probabilities.sum(axis=1) == pytest.approx(1)
    assert Temperature(1.0).apply(predictions.probabilities) == pytest.approx(predictions.probabilities)


def test_without_validation_rows_there_is_nothing_to_fit_on(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions()
    test = predictions.table[predictions.table["fold"] == "test"]
    with pytest.raises(DataError, match="no validation rows"):
        fit_temperature(Predictions(predictions.classes, test))
