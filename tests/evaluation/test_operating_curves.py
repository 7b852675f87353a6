"""Points of curves against scikit-learn's and against a hand-counted case."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from selcn.evaluation import Predictions
from selcn.evaluation.operating_curves import foremost_part, precision_recall, roc
from selcn.labels import BinarySymmetry, Diagnosis


def drawn(classes: list[str], images: int = 60, seed: int = 0) -> Predictions:
    """Probabilities rounded to two digits, so that some are equal."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(len(classes)), images).round(2)
    probabilities[:, 0] += 1 - probabilities.sum(1)
    table = pd.DataFrame(probabilities.clip(0, 1), columns=classes)
    ids = [f"i{number}" for number in range(images)]
    truth = generator.choice(classes, images)
    return Predictions.of(table.assign(image_id=ids, group=ids, fold="test", truth=truth))


@pytest.mark.parametrize("classes", [Diagnosis.names(), BinarySymmetry.names()])
def test_points_equal_scikit_learn(classes: list[str]) -> None:
    predictions = drawn(classes)
    for number, name in enumerate(classes):
        positive, scores = predictions.truth == number, predictions.probabilities[:, number]
        curves = roc(predictions)
        points = curves[curves["class"] == name]
        rates = roc_curve(positive, scores, drop_intermediate=False)
        np.testing.assert_allclose(points["false_positive_rate"], rates[0], atol=1e-12)
        np.testing.assert_allclose(points["sensitivity"], rates[1], atol=1e-12)
        np.testing.assert_allclose(points["threshold"], rates[2], atol=1e-12)
        assert points["auc"].iloc[0] == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
        curves = precision_recall(predictions)
        points = curves[curves["class"] == name][::-1]
        precision, recall, _ = precision_recall_curve(positive, scores)
        np.testing.assert_allclose(points["precision"], precision[:-1], atol=1e-12)
        np.testing.assert_allclose(points["recall"], recall[:-1], atol=1e-12)
        expected = average_precision_score(positive, scores)
        assert points["average_precision"].iloc[0] == pytest.approx(expected, abs=1e-12)


def test_four_images_counted_by_hand() -> None:
    table = pd.DataFrame({"asymmetric": [0.9, 0.8, 0.8, 0.1], "symmetric": [0.1, 0.2, 0.2, 0.9]})
    truth = ["asymmetric", "asymmetric", "symmetric", "symmetric"]
    predictions = Predictions.of(table.assign(image_id=list("abcd"), group=list("abcd"), fold="test", truth=truth))
    curve = roc(predictions).query("`class` == 'asymmetric'")
    assert curve[["false_positive_rate", "sensitivity"]].to_numpy().tolist() == [[0, 0], [0, 0.5], [0.5, 1], [1, 1]]
    assert curve["auc"].iloc[0] == pytest.approx(0.875)


def test_malignant_is_asked_of_diagnoses_only() -> None:
    assert roc(drawn(Diagnosis.names()))["class"].unique().tolist() == [*Diagnosis.names(), "malignant"]
    assert roc(drawn(BinarySymmetry.names()))["class"].unique().tolist() == BinarySymmetry.names()


def test_a_class_that_is_not_there_is_undefined() -> None:
    predictions = drawn(Diagnosis.names())
    without = Predictions.of(predictions.table[predictions.table["truth"] != "df"].reset_index(drop=True))
    for curves in (roc(without), precision_recall(without)):
        row = curves[curves["class"] == "df"]
        assert len(row) == 1
        assert row.drop(columns="class").isna().all(axis=None)


def test_the_test_part_comes_first() -> None:
    predictions = drawn(BinarySymmetry.names())
    table = predictions.table.assign(fold=["test"] * 20 + ["0"] * 40)
    assert len(foremost_part(Predictions.of(table)).table) == 20
    assert len(foremost_part(Predictions.of(table[table["fold"] == "0"].reset_index(drop=True))).table) == 40
