import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import balanced_accuracy_score

from selcn.errors import DataError
from selcn.evaluation import Predictions, Recalibration, evaluate_classification, fit_recalibration
from selcn.evaluation.recalibration import BIAS_DEVIATION, rescale
from selcn.labels import LabelSet

DrawPredictions = Callable[..., Predictions]
THREE = LabelSet.of(["a", "b", "c"])


def _predictions(probabilities: np.ndarray, truth: np.ndarray, fold: str = "0") -> Predictions:
    ids = [f"i{number}" for number in range(len(truth))]
    table = pd.DataFrame(probabilities, columns=THREE.names).assign(image_id=ids, group=ids, fold=fold)
    return Predictions.of(table.assign(truth=np.asarray(THREE.names)[truth]), labels=THREE)


def test_temperature_and_biases_are_those_of_least_penalised_loss_on_validation_alone(
    draw_predictions: DrawPredictions,
) -> None:
    predictions = draw_predictions(images=400, lesions=300)
    sharp = Recalibration(1 / 3).of(predictions)  # three times as sure as it was
    held = (sharp.table["fold"] != "test").to_numpy()
    logits, truth = np.log(sharp.probabilities[held]), sharp.truth[held]

    def loss(parameters: np.ndarray) -> float:
        scaled = log_softmax(logits / np.exp(parameters[0]) + parameters[1:], axis=1)
        return float(-scaled[np.arange(len(scaled)), truth].sum() + (parameters[1:] ** 2).sum() / 2 / BIAS_DEVIATION**2)

    found = fit_recalibration(sharp)
    expected = minimize(loss, np.zeros(1 + len(sharp.classes)), method="Powell", options={"ftol": 1e-12}).x
    assert found.temperature == pytest.approx(np.exp(expected[0]), rel=2e-3)
    assert found.bias == pytest.approx(expected[1:] - expected[1:].mean(), abs=5e-3)
    spoilt = sharp.table.copy()
    spoilt.loc[~held, "truth"] = sharp.classes[0]
    assert fit_recalibration(Predictions(sharp.labels, spoilt)) == found


def test_what_made_probabilities_wrong_is_found_again() -> None:
    """Truth is drawn from known probabilities; the predicted ones are sharper, as if classes were equally frequent."""
    generator, bias = np.random.default_rng(0), np.array([1.5, 0.0, -1.5])
    logits = generator.normal(size=(20_000, 3))
    true = softmax(logits / 2 + bias, axis=1)
    truth = (true.cumsum(axis=1) < generator.random((len(true), 1))).sum(axis=1)
    found = fit_recalibration(_predictions(softmax(logits, axis=1), truth))
    assert found.temperature == pytest.approx(2, rel=0.05)
    assert found.bias == pytest.approx(bias, abs=0.06)


def test_with_known_biases_the_temperature_alone_is_fitted(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions(images=400, lesions=300)
    bias = np.linspace(-1, 1, len(predictions.classes))
    held = (predictions.table["fold"] != "test").to_numpy()
    logits, own = np.log(predictions.probabilities[held]), (np.arange(held.sum()), predictions.truth[held])
    expected = minimize_scalar(
        lambda power: -log_softmax(logits / np.exp(power) + bias, axis=1)[own].sum(), bounds=(-2, 2), method="bounded"
    )
    found = fit_recalibration(predictions, bias.tolist())
    assert found.bias == pytest.approx(bias)
    assert found.temperature == pytest.approx(np.exp(expected.x), rel=1e-3)


def test_a_class_without_images_keeps_a_finite_bias() -> None:
    found = fit_recalibration(_predictions(np.full((40, 3), 1 / 3), np.arange(40) % 2))
    a, b, c = found.bias
    assert a == pytest.approx(b, abs=1e-3)
    assert -4 * BIAS_DEVIATION < c < a - 1


def test_rescaled_by_hand() -> None:
    # Square roots of 9 and 1 are as 3 to 1; the bias of ln 3 makes that 3 to 3.
    assert rescale(np.array([[0.9, 0.1]]), 2.0) == pytest.approx(np.array([[0.75, 0.25]]))
    assert rescale(np.array([[0.9, 0.1]]), 2.0, (0.0, np.log(3))) == pytest.approx(np.array([[0.5, 0.5]]))
    # Logits 0 and ln 1e-15, halved: odds of 1e-7.5.
    odds = 10**-7.5
    assert rescale(np.array([[1.0, 0.0]]), 2.0)[0] == pytest.approx([1 / (1 + odds), odds / (1 + odds)], rel=1e-9)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    temperature=st.floats(0.05, 20),
    bias=st.lists(st.floats(-8, 8), min_size=3, max_size=3),
)
def test_what_is_predicted_stays_and_so_does_all_that_follows_from_it(
    seed: int, temperature: float, bias: list[float]
) -> None:
    generator = np.random.default_rng(seed)
    before = _predictions(generator.dirichlet(np.ones(3), size=60), generator.integers(3, size=60), "test")
    after = Recalibration(temperature, tuple(bias)).of(before)
    expected = softmax(np.log(before.probabilities) / temperature + bias, axis=1)
    np.testing.assert_allclose(after.probabilities, expected, rtol=0, atol=1e-12)
    assert after.predicted.tolist() == before.predicted.tolist() == before.probabilities.argmax(axis=1).tolist()
    assert after.confidence == pytest.approx(expected[np.arange(60), before.predicted])
    once, twice = (evaluate_classification(one, resamples=1).set_index("metric")["value"] for one in (before, after))
    hard = ["balanced_accuracy", "accuracy", "kappa", "macro_f1", "sensitivity_a"]
    assert twice[hard].tolist() == once[hard].tolist()
    assert twice["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(before.truth, before.predicted))


def test_the_calibration_error_is_of_the_predicted_class_though_another_is_more_probable() -> None:
    # The predicted class has a probability of 0.25 and is right once in four; the most probable one would be thrice.
    predictions = _predictions(np.tile([0.7, 0.25, 0.05], (4, 1)), np.array([0, 0, 0, 1]), "test")
    table = predictions.table.assign(predicted="b")
    metrics = evaluate_classification(Predictions.of(table, labels=THREE), resamples=1).set_index("metric")["value"]
    assert metrics["ece"] == pytest.approx(0, abs=1e-12)
    assert metrics["accuracy"] == 0.25
    assert evaluate_classification(predictions, resamples=1).set_index("metric").loc["accuracy", "value"] == 0.75


def test_without_validation_rows_there_is_nothing_to_fit_on(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions()
    test = predictions.table[predictions.table["fold"] == "test"]
    with pytest.raises(DataError, match="no validation rows"):
        fit_recalibration(Predictions(predictions.labels, test))


def test_prediction_imports_no_pandas_for_it() -> None:
    code = (
        "import sys, numpy, selcn.evaluation; from selcn.evaluation.recalibration import rescale; "
        "rescale(numpy.array([[0.9, 0.1]]), 2.0); "
        "print(sorted({'pandas', 'scipy', 'sklearn', 'torch'} & {name.partition('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
