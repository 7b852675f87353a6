"""Every metric against counts made by hand and against scikit-learn, weights and ties included."""

import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from selcn.errors import DataError
from selcn.evaluation import Predictions, confusion, evaluate_classification, write_predictions
from selcn.evaluation.classification import classification_metrics
from selcn.labels import HAM10000, SYMMETRY, SYMMETRY_BINARY, LabelClass, LabelSet

DrawPredictions = Callable[..., Predictions]


ORDINAL = LabelSet(
    "nodularity",
    (
        LabelClass("flat", malignant=False),
        LabelClass("raised", malignant=False),
        LabelClass("nodular", malignant=True),
        LabelClass("ulcerated", malignant=True),
    ),
    ordinal=True,
)


def questions(
    truth: np.ndarray, probabilities: np.ndarray, labels: LabelSet
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Positives and scores of each class against the rest, of those with both sides; malignant last."""
    asked = {name: (truth == c, probabilities[:, c]) for c, name in enumerate(labels.names)}
    columns = [labels.names.index(name) for name in labels.malignant]
    if columns:
        asked["malignant"] = (np.isin(truth, columns), probabilities[:, columns].sum(axis=1))
    return {name: (positive, scores) for name, (positive, scores) in asked.items() if 0 < positive.sum() < len(truth)}


def oracle(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, labels: LabelSet) -> dict[str, float]:
    """Scikit-learn's metrics for one weighting, images without weight left out."""

    def sensitivity(positive: np.ndarray, scores: np.ndarray, specificity: float) -> float:
        false, true, _ = sk.roc_curve(positive, scores, sample_weight=weights, drop_intermediate=False)
        return float(true[1 - false >= specificity - 1e-9].max())

    truth, probabilities, weights = truth[weights > 0], probabilities[weights > 0], weights[weights > 0]
    predicted, whole = probabilities.argmax(axis=1), len(labels.names)
    macro: dict[str, Any] = {"average": "macro", "zero_division": 0, "sample_weight": weights}
    weighted, kappa = macro | {"average": "weighted"}, {"labels": list(range(whole)), "sample_weight": weights}
    asked = questions(truth, probabilities, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        aucs = {name: float(sk.roc_auc_score(*one, sample_weight=weights)) for name, one in asked.items()}
        precisions = {
            name: float(sk.average_precision_score(*one, sample_weight=weights)) for name, one in asked.items()
        }
        classes = [name for name in asked if name in labels.names]
        return {
            "balanced_accuracy": sk.balanced_accuracy_score(truth, predicted, sample_weight=weights),
            "kappa": sk.cohen_kappa_score(truth, predicted, **kappa),
            **(
                {"weighted_kappa": sk.cohen_kappa_score(truth, predicted, weights="quadratic", **kappa)}
                if labels.ordinal
                else {}
            ),
            "macro_f1": sk.f1_score(truth, predicted, **macro),
            "accuracy": sk.accuracy_score(truth, predicted, sample_weight=weights),
            "macro_precision": sk.precision_score(truth, predicted, **macro),
            "macro_recall": sk.recall_score(truth, predicted, **macro),
            "macro_auc": float(np.mean([aucs[name] for name in classes])),
            "macro_average_precision": float(np.mean([precisions[name] for name in classes])),
            "weighted_precision": sk.precision_score(truth, predicted, **weighted),
            "weighted_recall": sk.recall_score(truth, predicted, **weighted),
            "weighted_f1": sk.f1_score(truth, predicted, **weighted),
            "brier": np.average(((probabilities - np.eye(whole)[truth]) ** 2).sum(axis=1), weights=weights),
            "nll": sk.log_loss(truth, np.maximum(probabilities, 1e-15), labels=range(whole), sample_weight=weights),
            **{f"auc_{name}": value for name, value in aucs.items()},
            **{f"average_precision_{name}": value for name, value in precisions.items()},
            **{
                f"sensitivity_{name}_at_{percent}": sensitivity(*one, percent / 100)
                for name, one in asked.items()
                for percent in (90, 95)
            },
        }


def assert_equal_to_oracle(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, labels: LabelSet) -> None:
    found = classification_metrics(truth, probabilities, labels, weights)
    for row, of_row in enumerate(weights):
        expected = oracle(truth, probabilities, of_row, labels)
        for metric, value in expected.items():
            np.testing.assert_allclose(found[metric][row], value, rtol=0, atol=1e-12, err_msg=metric)


@st.composite
def weighted_images(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, LabelSet]:
    """A few images with probabilities on a coarse grid (so many ties), under integer and fractional weights."""
    labels = draw(st.sampled_from([HAM10000, SYMMETRY_BINARY, SYMMETRY, ORDINAL]))
    classes = len(labels.names)
    images = draw(st.integers(1, 25))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = generator.integers(draw(st.integers(1, classes)), size=images)
    grid = generator.integers(draw(st.integers(1, 5)), size=(images, classes)) + (np.arange(classes) == 0) * 1.0
    counts = generator.integers(3, size=(3, images))
    counts[:, 0] += 1
    weights = np.concatenate([np.ones((1, images)), counts, generator.uniform(0.1, 2, size=(2, images))])
    return truth, grid / grid.sum(axis=1, keepdims=True), weights, labels


@settings(max_examples=40)
@given(weighted_images())
def test_metrics_equal_scikit_learn(drawn: tuple[np.ndarray, np.ndarray, np.ndarray, LabelSet]) -> None:
    assert_equal_to_oracle(*drawn)


def test_metrics_equal_scikit_learn_on_many_images(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions(images=500, lesions=300)
    weights = np.random.default_rng(1).integers(4, size=(4, 500)).astype(np.float64)
    assert_equal_to_oracle(predictions.truth, predictions.probabilities, weights, predictions.labels)
    auc = sk.roc_auc_score(predictions.truth, predictions.probabilities, multi_class="ovr", sample_weight=None)
    found = classification_metrics(predictions.truth, predictions.probabilities, HAM10000, np.ones((1, 500)))
    assert found["macro_auc"][0] == pytest.approx(auc, abs=1e-12)


# Ten images; rows are the truth, columns the prediction: asymmetric 3 right and 1 wrong, symmetric 4 right and 2 wrong.
TRUTH = np.repeat([0, 0, 1, 1], [3, 1, 4, 2])
SHARE = np.asarray([0.9, 0.8, 0.6, 0.3, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7])
PROBABILITIES = np.stack([SHARE, 1 - SHARE], axis=1)


def ten_images(fold: str = "test") -> Predictions:
    names = SYMMETRY_BINARY.names
    ids = [str(number) for number in range(10)]
    table = {"image_id": ids, "group": ids, "fold": fold, "truth": np.asarray(names)[TRUTH]}
    return Predictions.of(pd.DataFrame(table | dict(zip(names, PROBABILITIES.T, strict=True))))


def test_metrics_equal_those_counted_by_hand() -> None:
    found = classification_metrics(TRUTH, PROBABILITIES, SYMMETRY_BINARY, np.ones((1, 10)))
    counted = {
        "balanced_accuracy": (3 / 4 + 4 / 6) / 2,
        "kappa": (7 / 10 - (4 * 5 + 6 * 5) / 100) / (1 - (4 * 5 + 6 * 5) / 100),
        "macro_f1": (6 / 9 + 8 / 11) / 2,
        "accuracy": 7 / 10,
        "macro_precision": (3 / 5 + 4 / 5) / 2,
        "macro_recall": (3 / 4 + 4 / 6) / 2,
        # Of 4 x 6 pairs: 0.9 and 0.8 win 6 each, 0.6 wins 4 and ties one, 0.3 wins 2 and ties one.
        "macro_auc": (6 + 6 + 4.5 + 2.5) / 24,
        "sensitivity_asymmetric": 3 / 4,
        "sensitivity_symmetric": 4 / 6,
        "weighted_precision": 0.4 * 3 / 5 + 0.6 * 4 / 5,
        "weighted_recall": 7 / 10,
        "weighted_f1": 0.4 * 6 / 9 + 0.6 * 8 / 11,
        "top_2_accuracy": 1,
        # By the scores 0.9 0.8 | 0.7 | 0.6 0.6 | 0.4 | 0.3 0.3: precisions 1, 1, 3/5, 4/8 at the four gains in recall.
        "average_precision_asymmetric": (1 + 1 + 3 / 5 + 4 / 8) / 4,
        "auc_asymmetric": (6 + 6 + 4.5 + 2.5) / 24,
        # 90 % and 95 % of six negatives allow no false alarm: the threshold lies above 0.7.
        "sensitivity_asymmetric_at_90": 2 / 4,
        "sensitivity_asymmetric_at_95": 2 / 4,
        # The other way round, of four negatives none may be called: the threshold lies above 0.7, below 0.8 and 0.9.
        "sensitivity_symmetric_at_90": 2 / 6,
        "brier": 2 * ((1 - SHARE[:4]) ** 2).sum() / 10 + 2 * (SHARE[4:] ** 2).sum() / 10,
        "nll": -(np.log(SHARE[:4]).sum() + np.log(1 - SHARE[4:]).sum()) / 10,
    }
    for metric, value in counted.items():
        assert found[metric].tolist() == [pytest.approx(value, abs=1e-15)], metric
    assert not {"auc_malignant", "weighted_kappa"} & set(found)


def test_calibration_error_counted_by_hand() -> None:
    # Confidences 0.9 (one right), 0.8, 0.6 and 0.7 wrong once: each in a bin of its own, of width 1/15.
    truth = np.asarray([0, 0, 0, 1])
    share = np.asarray([0.9, 0.8, 0.4, 0.7])
    found = classification_metrics(truth, np.stack([share, 1 - share], 1), SYMMETRY_BINARY, np.ones((1, 4)))
    assert found["ece"].tolist() == pytest.approx([(0.1 + 0.2 + 0.6 + 0.7) / 4])
    together = np.asarray([0.81, 0.84])
    found = classification_metrics(
        np.asarray([0, 1]), np.stack([together, 1 - together], 1), SYMMETRY_BINARY, np.ones((1, 2))
    )
    assert found["ece"].tolist() == pytest.approx([0.825 - 0.5])


def test_calibration_error_under_weights_equals_a_loop_over_bins(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions(images=200, lesions=150)
    weights = np.random.default_rng(2).integers(4, size=200).astype(np.float64)
    confidence = predictions.probabilities.max(axis=1)
    right = predictions.probabilities.argmax(axis=1) == predictions.truth
    expected = 0.0
    for low, high in pairwise(np.linspace(0, 1, 16)):
        chosen = (confidence > low) & (confidence <= high)
        expected += abs((weights * (confidence - right))[chosen].sum()) / weights.sum()
    found = classification_metrics(predictions.truth, predictions.probabilities, HAM10000, weights[None])
    assert found["ece"][0] == pytest.approx(expected, abs=1e-12)


def test_malignant_of_ham10000_is_the_sum_of_three_classes_against_the_rest() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(7), size=60)
    truth = generator.integers(7, size=60)
    found = classification_metrics(truth, probabilities, HAM10000, np.ones((1, 60)))
    columns = [HAM10000.names.index(name) for name in ("mel", "bcc", "akiec")]
    expected = sk.roc_auc_score(np.isin(truth, columns), probabilities[:, columns].sum(axis=1))
    assert found["auc_malignant"][0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("malignancy", "given"),
    [
        ((True, False), True),
        ((True, None), True),
        ((None, None), False),
        ((False, False), False),
        ((True, True), False),
    ],
)
def test_malignant_needs_a_label_set_that_says_which_classes_are(
    malignancy: tuple[bool | None, ...], given: bool
) -> None:
    labels = LabelSet("own", tuple(LabelClass(name, malignant=one) for name, one in zip("ab", malignancy, strict=True)))
    found = classification_metrics(TRUTH, PROBABILITIES, labels, np.ones((1, 10)))
    assert ("auc_malignant" in found) == given
    if given:
        assert found["auc_malignant"] == found["auc_a"]


def test_a_class_that_is_itself_called_malignant_stays_what_it_is() -> None:
    three = (LabelClass("benign", malignant=False), LabelClass("malignant", malignant=True))
    labels = LabelSet("own", (*three, LabelClass("metastasis", malignant=True)))
    truth, probabilities = (
        np.asarray([0, 1, 2, 1]),
        np.asarray([[0.6, 0.3, 0.1], [0.4, 0.2, 0.4], [0, 0, 1], [0, 1, 0]]),
    )
    found = classification_metrics(truth, probabilities, labels, np.ones((1, 4)))
    # Of 2 x 2 pairs of "malignant" and others: 0.2 loses to 0.3 and beats 0, 1 beats both.
    assert found["auc_malignant"].tolist() == [3 / 4]


def test_quadratically_weighted_kappa_counted_by_hand() -> None:
    # Truths 0 0 1 2, predictions 0 2 1 1: squared steps 0, 4, 0, 1, of 4 images; by chance the mean over all 16 pairs.
    probabilities = np.eye(3)[[0, 2, 1, 1]]
    found = classification_metrics(np.asarray([0, 0, 1, 2]), probabilities, SYMMETRY, np.ones((1, 4)))
    by_chance = np.mean([(t - p) ** 2 for t in (0, 0, 1, 2) for p in (0, 2, 1, 1)])
    assert found["weighted_kappa"].tolist() == pytest.approx([1 - (5 / 4) / by_chance])


def test_the_second_likeliest_counts_for_top_2() -> None:
    probabilities = np.asarray([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.4, 0.3, 0.3]])
    found = classification_metrics(np.asarray([0, 1, 2, 2]), probabilities, SYMMETRY, np.ones((1, 4)))
    assert found["top_2_accuracy"].tolist() == [0.5]


def test_confusion_counts_truth_in_rows_and_prediction_in_columns() -> None:
    table = confusion(ten_images(), "test")
    expected = pd.DataFrame(
        [[3, 1], [2, 4]],
        index=pd.Index(["asymmetric", "symmetric"], name="truth"),
        columns=pd.Index(["asymmetric", "symmetric"], name="predicted"),
    )
    pd.testing.assert_frame_equal(table, expected)


def test_confusion_of_an_absent_subset_is_refused() -> None:
    with pytest.raises(DataError, match="no validation rows in the predictions; ask for test"):
        confusion(ten_images(), "validation")


def test_the_first_of_equally_probable_classes_is_predicted() -> None:
    names = SYMMETRY.names
    row = {"image_id": "i", "group": "i", "fold": "test", "truth": names[1]}
    table = pd.DataFrame([row | dict(zip(names, (0.25, 0.375, 0.375), strict=True))])
    found = confusion(Predictions.of(table), "test")
    np.testing.assert_array_equal(found, [[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    metrics = classification_metrics(np.asarray([1]), np.asarray([[0.25, 0.375, 0.375]]), SYMMETRY, np.ones((1, 1)))
    assert metrics["accuracy"].tolist() == [1]


def test_classes_without_weight_leave_the_averages() -> None:
    # The second weighting leaves out the truth of class 2, the third all truth but that of class 0.
    truth = np.asarray([0, 0, 1, 2])
    probabilities = np.asarray([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])
    weights = np.asarray([[1.0, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0]])
    found = classification_metrics(truth, probabilities, SYMMETRY, weights)
    np.testing.assert_allclose(found["balanced_accuracy"], [(1 / 2 + 1 + 1) / 3, (1 / 2 + 1) / 2, 1])
    np.testing.assert_allclose(found["macro_recall"], [(1 / 2 + 1 + 1) / 3, (1 / 2 + 1 + 0) / 3, 1])
    np.testing.assert_allclose(found["macro_precision"], [(1 + 1 + 1 / 2) / 3, (1 + 1 + 0) / 3, 1])
    np.testing.assert_allclose(found["macro_f1"], [(2 / 3 + 1 + 2 / 3) / 3, (2 / 3 + 1 + 0) / 3, 1])
    np.testing.assert_allclose(found["kappa"], [(3 / 4 - 5 / 16) / (11 / 16), (2 / 3 - 3 / 9) / (6 / 9), np.nan])
    np.testing.assert_allclose(found["macro_auc"], [(2.5 / 4 + 1 + 2.5 / 3) / 3, (1 / 2 + 1) / 2, np.nan])
    np.testing.assert_allclose(found["sensitivity_asymmetric"], [1 / 2, 1 / 2, 1])


def test_the_sensitivity_of_an_absent_class_is_undefined() -> None:
    probabilities = np.eye(7)[[0, 1, 2]]
    found = classification_metrics(np.asarray([0, 1, 2]), probabilities, HAM10000, np.asarray([[1.0, 1, 0], [1, 0, 1]]))
    np.testing.assert_array_equal(found["sensitivity_mel"], [1, np.nan])
    assert "sensitivity_asymmetric" not in found


def test_undefined_metrics_have_no_interval() -> None:
    names = SYMMETRY_BINARY.names
    keys = {"image_id": ["a", "b"], "group": ["a", "b"], "fold": "test", "truth": "symmetric"}
    predictions = Predictions.of(pd.DataFrame(keys | dict(zip(names, ([0.1, 0.0], [0.9, 1.0]), strict=True))))
    table = evaluate_classification(predictions, resamples=20).set_index("metric")[["value", "low", "high"]].T
    for metric in ("kappa", "macro_auc", "sensitivity_asymmetric"):
        assert table[metric].isna().all(), metric
    assert table["balanced_accuracy"].tolist() == [1, 1, 1]


def test_validation_pools_the_folds_and_leaves_the_test_subset_out(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions()
    table = evaluate_classification(predictions, resamples=20)
    is_test = (predictions.table["fold"] == "test").to_numpy()
    for part, rows in (("test", is_test), ("validation", ~is_test)):
        found = table[table["fold_part"] == part].set_index("metric")
        expected = oracle(
            predictions.truth[rows], predictions.probabilities[rows], np.ones(rows.sum()), predictions.labels
        )
        assert found["value"][list(expected)].tolist() == pytest.approx(list(expected.values()), abs=1e-12)
        assert set(found["images"]) == {rows.sum()}
        assert set(found["groups"]) == {predictions.table["group"][rows].nunique()}


def test_a_file_and_what_was_read_from_it_give_the_same_metrics(
    tmp_path: Path, draw_predictions: DrawPredictions
) -> None:
    predictions = draw_predictions()
    write_predictions(predictions, tmp_path / "predictions.csv")
    from_file = evaluate_classification(tmp_path / "predictions.csv", resamples=20, seed=5)
    pd.testing.assert_frame_equal(from_file, evaluate_classification(predictions, resamples=20, seed=5))
    columns = ["metric", "fold_part", "value", "low", "high", "images", "groups"]
    assert list(from_file.columns) == columns
