"""Paired differences, the refusal of files that do not belong together, and the sentence."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn import metrics as sk

from selcn.errors import ConfigError, DataError
from selcn.evaluation import Estimate, Predictions, compare, evaluate_classification, verdict, write_predictions
from selcn.evaluation.classification import hard_metrics_of
from selcn.evaluation.intervals import draw_groups
from selcn.evaluation.registry import metric_spec
from selcn.evaluation.significance import permutation_test
from selcn.labels import SYMMETRY, SYMMETRY_BINARY, LabelSet

DrawPredictions = Callable[..., Predictions]


def changed(predictions: Predictions, **columns: Any) -> Predictions:
    return Predictions.of(predictions.table.assign(**columns), labels=predictions.labels)


def corrected(predictions: Predictions) -> Predictions:
    """The same predictions with half the probability moved to the true class."""
    moved = predictions.probabilities / 2 + np.eye(len(predictions.classes))[predictions.truth] / 2
    return changed(predictions, **dict(zip(predictions.classes, moved.T, strict=True)))


def test_a_file_does_not_differ_from_itself(tmp_path: Path, draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions()
    write_predictions(predictions, tmp_path / "a.csv")
    table = compare(tmp_path / "a.csv", predictions, resamples=100)
    assert (table[["value", "low", "high"]] == 0).all(axis=None)
    assert set(table["fold_part"]) == {"test", "validation"}


def test_the_value_is_b_minus_a_and_the_order_of_rows_does_not_matter(draw_predictions: DrawPredictions) -> None:
    a = draw_predictions()
    b = corrected(a)
    shuffled = Predictions.of(b.table.sample(frac=1, random_state=0))
    found = compare(a, shuffled, resamples=50)
    of_a, of_b = (evaluate_classification(predictions, resamples=50) for predictions in (a, b))
    assert found["value"].to_numpy() == pytest.approx((of_b["value"] - of_a["value"]).to_numpy(), abs=1e-12)
    sign = found["metric"].map(lambda name: -1 if metric_spec(name).direction == "lower" else 1)
    assert (sign * found["value"] >= 0)[found["metric"] != "ece"].all()
    assert found["value"].max() > 0.1
    assert found["value"].min() < -0.1
    pd.testing.assert_frame_equal(found, compare(a, b, resamples=50))


def test_both_are_scored_on_the_same_drawn_lesions(draw_predictions: DrawPredictions) -> None:
    a = draw_predictions(images=120, lesions=80)
    b = draw_predictions(images=120, lesions=80, seed=1)
    b = changed(a, **{name: b.table[name] for name in b.classes})
    test = (a.table["fold"] == "test").to_numpy()
    codes, names = pd.factorize(a.table["group"][test])
    differences = []
    for counts in draw_groups(len(names), 40, np.random.default_rng(3)):
        accuracy_a, accuracy_b = (
            sk.accuracy_score(p.truth[test], p.probabilities[test].argmax(axis=1), sample_weight=counts[codes])
            for p in (a, b)
        )
        differences.append(accuracy_b - accuracy_a)
    found = compare(a, b, resamples=40, seed=3)
    accuracy = found[(found["fold_part"] == "test") & (found["metric"] == "accuracy")]
    expected = np.percentile(differences, [2.5, 97.5])
    np.testing.assert_allclose(accuracy[["low", "high"]].to_numpy()[0], expected, rtol=0, atol=1e-12)


def test_p_values_are_those_of_the_tests_on_each_subset(draw_predictions: DrawPredictions) -> None:
    a = draw_predictions(images=150, lesions=100)
    b = draw_predictions(images=150, lesions=100, seed=1)
    b = changed(a, **{name: b.table[name] for name in b.classes})
    found = compare(a, b, resamples=50, seed=4).set_index(["fold_part", "metric"])
    for part, rows in (("test", a.table["fold"] == "test"), ("validation", a.table["fold"] != "test")):
        of_a, of_b = (Predictions.of(one.table[rows].reset_index(drop=True)) for one in (a, b))
        for metric, p in permutation_test([of_a], [of_b], hard_metrics_of, permutations=50, seed=4).items():
            assert found["p"][part, metric] == pytest.approx(p, nan_ok=True), metric
        right_a, right_b = (one.probabilities.argmax(axis=1) == one.truth for one in (of_a, of_b))
        only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
        expected = binomtest(only_a, only_a + only_b).pvalue
        assert found["p_mcnemar"][part].dropna().to_dict() == pytest.approx({"accuracy": expected})
        assert found["p"][part][["macro_auc", "ece", "nll"]].isna().all()


def test_other_images_are_refused(draw_predictions: DrawPredictions) -> None:
    a = draw_predictions()
    b = Predictions.of(a.table[4:])
    message = (
        "image_000, image_001, image_002 (and 1 more) is in only one of A and B; predict the same images with both"
    )
    with pytest.raises(DataError, match=re.escape(message)):
        compare(a, b)
    with pytest.raises(DataError, match=re.escape(message)):
        compare(b, a)


def test_another_truth_group_or_fold_is_refused(draw_predictions: DrawPredictions) -> None:
    a = draw_predictions()
    truth = a.table["truth"].where(a.table["image_id"] != "image_005", "df")
    folds = a.table["fold"].replace({"1": "2"})
    for columns, message in (
        ({"truth": truth}, "image_005 has another truth in A than in B; use one split for both"),
        ({"group": a.table["image_id"]}, "has another group in A than in B; use one split for both"),
        ({"fold": folds}, "has another fold in A than in B; use one split for both"),
    ):
        with pytest.raises(DataError, match=message):
            compare(a, changed(a, **columns))


def test_other_classes_are_refused(draw_predictions: DrawPredictions) -> None:
    a = draw_predictions(labels=SYMMETRY_BINARY)
    b = draw_predictions(labels=SYMMETRY)
    with pytest.raises(
        DataError, match="A has classes asymmetric, symmetric, B asymmetric, one-axis, two-axes; compare"
    ):
        compare(a, b)


def test_classes_in_another_order_are_put_into_that_of_a(tmp_path: Path, draw_predictions: DrawPredictions) -> None:
    labels, other = LabelSet.of(["x", "y", "z"]), LabelSet.of(["z", "x", "y"])
    a, b = draw_predictions(labels=labels), corrected(draw_predictions(labels=labels))
    expected = compare(a, b, resamples=20)
    pd.testing.assert_frame_equal(compare(a, Predictions.of(b.table, labels=other), resamples=20), expected)
    for name, predictions in (("a", a), ("b", b)):
        write_predictions(Predictions.of(predictions.table, labels=other), tmp_path / f"{name}.csv")
    found = compare(tmp_path / "a.csv", tmp_path / "b.csv", labels=labels, resamples=20)
    pd.testing.assert_frame_equal(found, expected)
    with pytest.raises(DataError, match="name the class columns asymmetric, symmetric"):
        compare(tmp_path / "a.csv", tmp_path / "b.csv", labels=SYMMETRY_BINARY)


@pytest.mark.parametrize(
    ("difference", "sentence"),
    [
        (Estimate(0.009, -0.01, 0.026), "no difference is shown; the interval allows -1.0 to +2.6 points"),
        (Estimate(0.031, 0.01, 0.052), "B is better by 3.1 points (95 % interval 1.0 to 5.2)"),
        (Estimate(-0.031, -0.052, -0.01), "A is better by 3.1 points (95 % interval 1.0 to 5.2)"),
        (Estimate(0, 0, 0), "no difference is shown; the interval allows +0.0 to +0.0 points"),
        (Estimate(-0.01, -0.02, -0.0), "no difference is shown; the interval allows -2.0 to +0.0 points"),
        (Estimate(np.nan, np.nan, np.nan), "no verdict; the difference or its interval is undefined on these images"),
        (Estimate(0.1, np.nan, np.nan), "no verdict; the difference or its interval is undefined on these images"),
    ],
)
def test_the_sentence_says_what_the_interval_shows(difference: Estimate, sentence: str) -> None:
    assert verdict(difference, "macro_f1") == f"macro F1: {sentence}"


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        ("sensitivity_bcc", "sensitivity for bcc: this is better by 3.1 points (95 % interval 1.0 to 5.2)"),
        ("ece", "calibration error: that is better by 3.1 points (95 % interval 1.0 to 5.2)"),
        ("nll", "negative log-likelihood: that is better by 0.031 nats (95 % interval 0.010 to 0.052)"),
        ("brier", "Brier score: that is better by 0.031 (95 % interval 0.010 to 0.052)"),
        ("predicted_bcc", "predicted bcc: this is higher by 3.1 points (95 % interval 1.0 to 5.2)"),
    ],
)
def test_the_sentence_names_the_better_one_in_the_metrics_unit(metric: str, sentence: str) -> None:
    assert verdict(Estimate(-0.031, -0.052, -0.01), metric, "this", "that") == sentence


def test_an_interval_around_0_is_given_in_the_metrics_unit() -> None:
    found = verdict(Estimate(0.0021, -0.0104, 0.026), "nll")
    assert found == "negative log-likelihood: no difference is shown; the interval allows -0.010 to +0.026 nats"


def test_an_interval_within_the_bounds_shows_that_no_difference_matters() -> None:
    within, beyond = Estimate(0.001, -0.01, 0.008), Estimate(0.001, -0.011, 0.008)
    assert "no difference that matters; the interval is -1.0 to +0.8" in verdict(within, "macro_f1", bounds=0.01)
    assert "no difference is shown" in verdict(beyond, "macro_f1", bounds=0.01)
    assert "B is better" in verdict(Estimate(0.005, 0.001, 0.009), "macro_f1", bounds=0.01)


def test_a_metric_must_be_called_by_its_name() -> None:
    with pytest.raises(ConfigError, match="unknown metric 'balanced accuracy'; register it in"):
        verdict(Estimate(0.1, 0.05, 0.2), "balanced accuracy")
