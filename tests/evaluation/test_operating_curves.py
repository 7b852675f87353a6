"""Points of curves against scikit-learn's and against a hand-counted case."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from selcn.evaluation import Predictions
from selcn.evaluation.operating_curves import precision_recall, primary_subset, roc
from selcn.labels import HAM10000, SYMMETRY_BINARY, LabelSet


def drawn(classes: list[str], images: int = 60, seed: int = 0) -> Predictions:
    """Probabilities rounded to two digits, so that some are equal."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(len(classes)), images).round(2)
    probabilities[:, 0] += 1 - probabilities.sum(1)
    table = pd.DataFrame(probabilities.clip(0, 1), columns=classes)
    ids = [f"i{number}" for number in range(images)]
    truth = generator.choice(classes, images)
    return Predictions.of(table.assign(image_id=ids, group=ids, fold="test", truth=truth))


@pytest.mark.parametrize("labels", [HAM10000, SYMMETRY_BINARY])
def test_points_equal_scikit_learn(labels: LabelSet) -> None:
    predictions = drawn(labels.names)
    truth, probabilities = predictions.truth, predictions.probabilities
    asked = {name: (truth == c, probabilities[:, c]) for c, name in enumerate(labels.names)}
    if labels is HAM10000:
        columns = [labels.names.index(name) for name in ("mel", "bcc", "akiec")]
        asked["malignant"] = (np.isin(truth, columns), probabilities[:, columns].sum(axis=1))
    for curves in (roc(predictions), precision_recall(predictions)):
        assert curves["class"].unique().tolist() == list(asked)
    for name, (positive, scores) in asked.items():
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


def test_a_class_that_is_not_there_is_undefined() -> None:
    predictions = drawn(HAM10000.names)
    without = Predictions.of(predictions.table[predictions.table["truth"] != "df"].reset_index(drop=True))
    for curves in (roc(without), precision_recall(without)):
        row = curves[curves["class"] == "df"]
        assert len(row) == 1
        assert row.drop(columns="class").isna().all(axis=None)


def test_the_primary_subset_is_test_or_else_validation() -> None:
    table = drawn(SYMMETRY_BINARY.names).table.assign(fold=["0"] * 20 + ["test"] * 15 + ["1"] * 25)
    chosen = primary_subset(Predictions.of(table))
    assert chosen.table["image_id"].tolist() == table["image_id"][20:35].tolist()
    validation = table[table["fold"] != "test"]
    chosen = primary_subset(Predictions.of(validation))
    assert chosen.table["image_id"].tolist() == validation["image_id"].tolist()
