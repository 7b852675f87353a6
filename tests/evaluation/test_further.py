"""Metrics that are given where asked for, against scikit-learn, SciPy, loops and counts made by hand."""

import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import dirichlet
from sklearn import metrics as sk

from selcn.errors import ConfigError, DataError
from selcn.evaluation import (
    Further,
    Predictions,
    decision_curve,
    evaluate_by_profile,
    evaluate_classification,
    evaluate_file,
    evaluate_further,
    metric_spec,
    read_costs,
    write_predictions,
)
from selcn.evaluation.calibration import class_wise_error
from selcn.evaluation.costs import cost_metrics
from selcn.evaluation.further import further_metrics_of
from selcn.evaluation.kernel_calibration import BANDWIDTHS, best_bandwidth, kernel_calibration_of
from selcn.labels import HAM10000, SYMMETRY, SYMMETRY_BINARY, LabelSet

DrawPredictions = Callable[..., Predictions]
TEN = np.ones((1, 10))


def binary(truth: np.ndarray, share: np.ndarray) -> Predictions:
    """Predictions of asymmetric (class 0) with these probabilities, one image a lesion."""
    ids, names = [str(number) for number in range(len(truth))], SYMMETRY_BINARY.names
    keys = {"image_id": ids, "group": ids, "fold": "test", "truth": np.asarray(names)[truth]}
    return Predictions.of(pd.DataFrame(keys | dict(zip(names, (share, 1 - share), strict=True))))


# Asymmetric: 3 right (TP), 1 missed (FN); symmetric: 4 right (TN), 2 wrong (FP).
HAND = binary(np.repeat([0, 0, 1, 1], [3, 1, 4, 2]), np.asarray([0.9, 0.8, 0.6, 0.3, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7]))


def test_metrics_equal_those_counted_by_hand() -> None:
    found = further_metrics_of(HAND, Further(every=True, prevalence={"asymmetric": 0.1}))(TEN)
    counted = {
        "mcc": (3 * 4 - 2 * 1) / np.sqrt(5 * 4 * 6 * 5),
        "specificity_asymmetric": 4 / 6,
        "ppv_asymmetric": 3 / 5,
        "npv_asymmetric": 4 / 5,
        "f2_asymmetric": 5 * 3 / (5 * 3 + 4 * 1 + 2),
        "lr_plus_asymmetric": 0.75 / (2 / 6),
        # Of 1000 people 100 are ill, 75 found; of 900 well ones 300 are called ill.
        "ppv_asymmetric_at_prevalence_10": 75 / 375,
        "npv_asymmetric_at_prevalence_10": 600 / 625,
        "f2_asymmetric_at_prevalence_10": 5 * 75 / (5 * 75 + 4 * 25 + 300),
        # From 20 % on: all four ill, five of six well ones (0.1 is below).
        "net_benefit_asymmetric_at_20": 4 / 10 - 5 / 10 * 0.25,
        "net_benefit_asymmetric_at_5": 4 / 10 - 6 / 10 * 5 / 95,
        "root_brier": np.sqrt(2 * np.mean(np.square([0.1, 0.2, 0.4, 0.7, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7]))),
    }
    for metric, value in counted.items():
        assert found[metric][0] == pytest.approx(value, abs=1e-12), metric
        assert metric_spec(metric).name == metric
    without = further_metrics_of(HAND, Further(prevalence={"asymmetric": 0.1}))(TEN)
    assert {name.rpartition("_at_")[2] for name in without} == {"prevalence_10"}


@st.composite
def drawn(draw: st.DrawFn) -> tuple[Predictions, np.ndarray]:
    """A few images of some classes, with ties, under whole and fractional weights."""
    labels: LabelSet = draw(st.sampled_from([HAM10000, SYMMETRY, SYMMETRY_BINARY]))
    generator, images = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.integers(2, 20))
    truth = generator.integers(draw(st.integers(1, len(labels.names))), size=images)
    grid = generator.integers(1, 5, size=(images, len(labels.names))) ** 2.0
    table = pd.DataFrame(grid / grid.sum(axis=1, keepdims=True), columns=labels.names)
    ids = [str(number) for number in range(images)]
    predictions = Predictions.of(
        table.assign(image_id=ids, group=ids, fold="test", truth=np.asarray(labels.names)[truth]), labels=labels
    )
    counts = generator.integers(3, size=(2, images))
    counts[:, 0] += 1
    return predictions, np.concatenate([np.ones((1, images)), counts, generator.uniform(0.1, 2, size=(1, images))])


def one_class(truth: np.ndarray, called: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Scikit-learn's metrics of one question, NaN where undefined; of predictive values, the hits among the called."""
    options = {"sample_weight": weights, "zero_division": np.nan}
    return {
        "specificity": sk.recall_score(~truth, ~called, **options),
        "ppv": sk.precision_score(truth, called, **options),
        "npv": sk.precision_score(~truth, ~called, **options),
        "f2": sk.fbeta_score(truth, called, beta=2, **options),
    }


@settings(max_examples=15, deadline=None)
@given(drawn())
def test_metrics_equal_scikit_learn(case: tuple[Predictions, np.ndarray]) -> None:
    predictions, weights = case
    truth, probabilities, labels = predictions.truth, predictions.probabilities, predictions.labels
    found = further_metrics_of(predictions, Further(every=True))(weights)
    predicted = probabilities.argmax(axis=1)
    malignant = [labels.names.index(name) for name in labels.malignant]
    groups = {name: [number] for number, name in enumerate(labels.names)} | (
        {"malignant": malignant} if malignant else {}
    )
    for row, one in enumerate(weights):
        kept = one > 0
        t, p, w = truth[kept], predicted[kept], one[kept]
        mixed = len(set(t)) > 1 and len(set(p)) > 1
        expected = sk.matthews_corrcoef(t, p, sample_weight=w) if mixed else np.nan
        np.testing.assert_allclose(found["mcc"][row], expected, atol=1e-9)
        for name, classes in groups.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                oracle = one_class(np.isin(t, classes), np.isin(p, classes), w)
            for metric, value in oracle.items():
                np.testing.assert_allclose(
                    found[f"{metric}_{name}"][row], value, atol=1e-12, err_msg=f"{metric} {name}"
                )


@settings(max_examples=20, deadline=None)
@given(drawn())
def test_class_wise_and_kernel_error_equal_loops(case: tuple[Predictions, np.ndarray]) -> None:
    predictions, weights = case
    truth, probabilities = predictions.truth, predictions.probabilities
    one_hot, edges = np.eye(probabilities.shape[1])[truth], np.linspace(0, 1, 16)
    class_wise, kernel = (
        class_wise_error(truth, probabilities, weights),
        kernel_calibration_of(truth, probabilities)(weights),
    )
    bandwidth = best_bandwidth(probabilities)
    densities = np.array([[dirichlet(p / bandwidth + 1).pdf(at) for p in probabilities] for at in probabilities])
    np.fill_diagonal(densities, 0)
    for row, w in enumerate(weights):
        gaps = 0.0
        for k, low, high in ((k, *edge) for k in range(one_hot.shape[1]) for edge in pairwise(edges)):
            inside = (probabilities[:, k] > low) & (probabilities[:, k] <= high)
            gaps += abs(np.sum((w * (probabilities[:, k] - one_hot[:, k]))[inside]))
        assert class_wise[row] == pytest.approx(gaps / w.sum() / one_hot.shape[1], abs=1e-12)
        near = densities * w
        some = near.sum(axis=1) > 0
        expected = near[some] @ one_hot / near[some].sum(axis=1, keepdims=True)
        errors = np.abs(expected - probabilities[some]).sum(axis=1)
        value = np.average(errors, weights=w[some]) if w[some].sum() else np.nan
        np.testing.assert_allclose(kernel[row], value, atol=1e-9)


def test_the_bandwidth_is_the_likeliest_and_calibrated_probabilities_have_a_small_error() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([2, 1, 1], size=300)
    truth = np.array([generator.choice(3, p=p) for p in probabilities])
    assert best_bandwidth(probabilities) in BANDWIDTHS[3:-1]
    sharp = probabilities**3 / (probabilities**3).sum(axis=1, keepdims=True)
    one = np.ones((1, 300))
    true, overconfident = (kernel_calibration_of(truth, p)(one)[0] for p in (probabilities, sharp))
    assert true < 0.2 < overconfident
    assert np.isnan(kernel_calibration_of(truth[:1], probabilities[:1])(one[:, :1]))


def test_undefined_values_are_nan() -> None:
    alone = binary(np.zeros(3, dtype=np.int64), np.asarray([0.9, 0.8, 0.7]))
    found = further_metrics_of(alone, Further(every=True, prevalence={"symmetric": 0.5}))(np.ones((1, 3)))
    undefined = {name for name, value in found.items() if np.isnan(value[0])}
    assert undefined == {
        "mcc", "specificity_asymmetric", "npv_asymmetric", "lr_plus_asymmetric", "ppv_symmetric", "f2_symmetric",
        "lr_plus_symmetric", "ppv_symmetric_at_prevalence_50", "npv_symmetric_at_prevalence_50",
        "f2_symmetric_at_prevalence_50",
    }  # fmt: skip


def write_costs(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_costs_counted_by_hand(tmp_path: Path) -> None:
    # In another order than the label set's; a missed asymmetric one costs 10, a needless alarm 1.
    costs = read_costs(write_costs(tmp_path / "c.csv", "truth,symmetric,asymmetric\nasymmetric,10,0\nsymmetric,0,1\n"))
    table = evaluate_further(HAND, Further(costs=costs), resamples=200).set_index("metric")["value"]
    # One missed, two alarms: 12; all asymmetric costs 6, all symmetric 40. Cheapest: alarm where 10 p >= 1 - p, so
    # from 1/11 on: every image (0.1 is above).
    assert table["expected_cost"] == pytest.approx(1.2)
    assert table["expected_cost_normalised"] == pytest.approx(12 / 6)
    assert table["expected_cost_bayes"] == pytest.approx(0.6)
    free = cost_metrics(HAND.truth, HAND.probabilities, HAND.predicted, np.zeros((2, 2)), TEN, hard=True)
    assert np.isnan(free["expected_cost_normalised"][0])
    assert "expected_cost_bayes" not in free


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("truth,mel,nv\nmel,0,1\n", r"c\.csv: rows are mel, columns mel, nv; give one row and one column"),
        ("truth,mel,nv\nmel,0,1\nnv,-1,0\n", r"c\.csv: the cost of mel where nv is true is not a number of 0 or more"),
        ("truth,mel,nv\nmel,0,1\nnv,x,0\n", r"the cost of mel where nv is true"),
        ("mel,nv\n0,1\n", r"column truth is missing"),
        ("truth,mel,nv\nmel,0,1\nnv,1,0\n", r"c\.csv: costs of mel, nv, but the predictions are of asymmetric, symm"),
    ],
)
def test_a_wrong_table_of_costs_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate_further(HAND, Further(costs=read_costs(write_costs(tmp_path / "c.csv", text))), resamples=5)


def test_a_decision_curve_equals_a_loop(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions(images=200, lesions=150)
    curve = decision_curve(predictions, percents=(5, 25, 60), resamples=50).set_index("threshold")
    rows = predictions.table[predictions.table["fold"] == "test"]
    ill, score = rows["truth"].isin(HAM10000.malignant), rows[HAM10000.malignant].sum(axis=1)
    for threshold, row in curve.iterrows():
        odds, called = float(threshold) / (1 - float(threshold)), score >= threshold  # type: ignore[arg-type]
        assert row["net_benefit"] == pytest.approx((called & ill).mean() - (called & ~ill).mean() * odds)
        assert row["treat_all"] == pytest.approx(ill.mean() - (~ill).mean() * odds)
        assert row["low"] <= row["net_benefit"] <= row["high"]
    rare = decision_curve(predictions, prevalence=0.02, percents=(25,), resamples=5).iloc[0]
    called = score >= 0.25
    expected = called[ill].mean() * 0.02 - called[~ill].mean() * 0.98 / 3
    assert rare["net_benefit"] == pytest.approx(expected)
    assert rare["treat_all"] == pytest.approx(0.02 - 0.98 / 3)
    for options, message in (
        ({"positive": "wart"}, "decision curve of wart: no such class; choose"),
        ({"percents": (0, 50)}, "thresholds are 0, 50 %; give values above 0"),
        ({"prevalence": 2.0}, "prevalence of malignant is 2; give a share"),
    ):
        with pytest.raises(ConfigError, match=message):
            decision_curve(predictions, **options)


def test_files_get_further_metrics_after_the_usual_ones(tmp_path: Path, draw_predictions: DrawPredictions) -> None:
    predictions, path = draw_predictions(), tmp_path / "p.csv"
    write_predictions(predictions, path)
    usual = evaluate_classification(predictions, resamples=20)
    table = evaluate_file(path, further=Further(every=True), resamples=20)
    pd.testing.assert_frame_equal(table.head(len(usual)), usual)
    rest = table.iloc[len(usual) :].set_index(["fold_part", "metric"])
    assert {"mcc", "ece_kde", "npv_malignant", "net_benefit_malignant_at_10"} <= set(rest.loc["validation"].index)
    of_mcc = rest[["low", "value", "high"]].xs(("test", "mcc")).to_numpy(dtype=np.float64)
    assert (np.diff(of_mcc) > 0).all()
    for asked, message in (
        (Further(prevalence={"wart": 0.1}), "prevalence of wart: no such class; choose nv"),
        (Further(every=True), "has no classes with their truth"),
    ):
        source = path if asked.prevalence else write_costs(tmp_path / "u.csv", "image_id,mel,nv\na,0.5,0.5\n")
        with pytest.raises(ConfigError, match=message):
            evaluate_file(source, further=asked, resamples=5)
    for wrong in ({"beta": 0.0}, {"prevalence": {"mel": 1.0}}):
        with pytest.raises(ConfigError, match=r"is [01]; give a"):
            Further(**wrong)


def test_the_profile_asks_what_the_problem_asks(tmp_path: Path, draw_predictions: DrawPredictions) -> None:
    def metrics(predictions: Predictions, asked: Further = Further()) -> dict[str, list[str]]:  # noqa: B008
        write_predictions(predictions, tmp_path / "p.csv")
        found, table = evaluate_by_profile(tmp_path / "p.csv", asked, labels=predictions.labels, resamples=5)
        assert set(table["question"]) <= {one.question for one in found}
        return {str(question): list(dict.fromkeys(rows["metric"])) for question, rows in table.groupby("question")}

    rare = draw_predictions()
    seldom = rare.table[(rare.table["truth"] != "vasc") | (rare.table.index < 10)]
    of_ham = metrics(Predictions(HAM10000, seldom), Further(prevalence={"malignant": 0.02}))
    assert of_ham["how often is the class right"] == ["balanced_accuracy", "mcc"]
    assert "ppv_malignant_at_prevalence_2" in of_ham["what does a positive mean"]
    assert "average_precision_mel" in of_ham["are positives ranked above negatives"]
    assert "net_benefit_mel_at_10" in of_ham["is a decision by it worth it"]
    of_symmetry = metrics(draw_predictions(labels=SYMMETRY))
    assert of_symmetry["how often is the class right"] == ["balanced_accuracy", "accuracy", "mcc"]
    assert of_symmetry["how grave are the errors"] == ["weighted_kappa"]
    assert "is a decision by it worth it" not in of_symmetry
    hard = write_costs(tmp_path / "h.csv", "image_id,truth,prediction\na,mel,mel\nb,nv,mel\nc,nv,nv\nd,mel,nv\n")
    found, table = evaluate_by_profile(hard, Further(), resamples=5)
    assert "are the probabilities true" not in {one.question for one in found}
    assert table.set_index("metric").loc["mcc", "value"] == pytest.approx(0)
