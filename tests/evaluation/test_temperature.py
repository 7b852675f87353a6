import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

from selcn.errors import DataError
from selcn.evaluation import Predictions, Temperature, fit_temperature
from selcn.evaluation.temperature import rescale

DrawPredictions = Callable[..., Predictions]


def test_the_temperature_is_that_of_least_loss_on_validation_alone(draw_predictions: DrawPredictions) -> None:
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
    assert fit_temperature(Predictions(sharp.labels, spoilt)).value == fit_temperature(sharp).value


def test_rescaled_predictions_are_the_softmax_of_divided_logits(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions()
    for value in (0.3, 1.0, 5.0):
        changed = Temperature(value).of(predictions)
        expected = np.exp(log_softmax(np.log(predictions.probabilities) / value, axis=1))
        np.testing.assert_allclose(changed.probabilities, expected, rtol=0, atol=1e-12)
        assert (changed.labels, changed.truth.tolist()) == (predictions.labels, predictions.truth.tolist())
    np.testing.assert_array_equal(Temperature(5.0).apply(predictions.probabilities), changed.probabilities)


def test_a_probability_of_0_stays_finite() -> None:
    # Logits 0 and ln 1e-15, halved: odds of 1e-7.5.
    odds = 10**-7.5
    assert rescale(np.array([[1.0, 0.0]]), 2.0)[0] == pytest.approx([1 / (1 + odds), odds / (1 + odds)], rel=1e-9)


def test_without_validation_rows_there_is_nothing_to_fit_on(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions()
    test = predictions.table[predictions.table["fold"] == "test"]
    with pytest.raises(DataError, match="no validation rows"):
        fit_temperature(Predictions(predictions.labels, test))


def test_prediction_imports_no_pandas_for_it() -> None:
    code = (
        "import sys, numpy, selcn.evaluation; from selcn.evaluation.temperature import rescale; "
        "rescale(numpy.array([[0.9, 0.1]]), 2.0); "
        "print(sorted({'pandas', 'scipy', 'sklearn', 'torch'} & {name.partition('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
