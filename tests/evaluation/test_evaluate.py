"""Files of every kind to their metrics."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selcn.errors import DataError
from selcn.evaluation import Predictions, evaluate_file, fit_recalibration, segmentation_scores, write_predictions
from selcn.evaluation.evaluate import hard_label_columns, read_hard_labels
from selcn.labels import HAM10000, SYMMETRY, SYMMETRY_BINARY, LabelSet

PROBABILITIES = pd.DataFrame({"asymmetric": [0.9, 0.6, 0.25, 0.5], "symmetric": [0.1, 0.4, 0.75, 0.5]})
SEVERAL = "image_id,truth,prediction_0,prediction_1\na,mel,mel,nv\nb,nv,nv,nv\nc,nv,mel,mel\nd,mel,mel,mel\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text)
    return path


def test_without_a_truth_the_metrics_that_need_none_are_given(tmp_path: Path) -> None:
    PROBABILITIES.assign(image_id=list("abcd")).to_csv(tmp_path / "p.csv", index=False)
    metrics = evaluate_file(tmp_path / "p.csv", resamples=50).set_index("metric")
    entropies = [-(p * np.log(p) + (1 - p) * np.log(1 - p)) for p in PROBABILITIES["asymmetric"]]
    assert metrics["value"].to_dict() == pytest.approx(
        {
            "predicted_asymmetric": 3 / 4,
            "predicted_symmetric": 1 / 4,
            "mean_confidence": (0.9 + 0.6 + 0.75 + 0.5) / 4,
            "mean_entropy": float(np.mean(entropies)),
        }
    )
    assert metrics["images"].unique().tolist() == [4]
    assert metrics["groups"].unique().tolist() == [4]
    assert metrics["fold_part"].unique().tolist() == ["test"]


def test_without_a_truth_groups_and_folds_are_read_where_they_are_given(tmp_path: Path) -> None:
    table = PROBABILITIES.assign(image_id=list("abcd"), group=list("xxyz"), fold=["0", "0", "test", "1"])
    table.to_csv(tmp_path / "p.csv", index=False)
    metrics = evaluate_file(tmp_path / "p.csv", resamples=50).query("metric == 'mean_confidence'")
    metrics = metrics.set_index("fold_part")
    assert metrics["value"].to_dict() == pytest.approx({"test": 0.75, "validation": (0.9 + 0.6 + 0.5) / 3})
    assert metrics["groups"].to_dict() == {"test": 1, "validation": 2}


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
    table = pd.DataFrame({"image_id": ids, "group": ids, "fold": ["test"] * 40 + ["0"] * 40})
    table = table.assign(truth=np.asarray(SYMMETRY_BINARY.names)[truth], asymmetric=1 - sure, symmetric=sure)
    predictions = Predictions.of(table)
    write_predictions(predictions, tmp_path / "p.csv")
    plain, calibrated = (
        evaluate_file(tmp_path / "p.csv", calibrate=which, resamples=20).set_index(["metric", "fold_part"])["value"]
        for which in (False, True)
    )
    assert calibrated["ece", "test"] < plain["ece", "test"]
    assert calibrated["accuracy", "test"] == plain["accuracy", "test"]
    own = fit_recalibration(predictions).of(predictions).probabilities[np.arange(80), truth]
    assert calibrated["nll", "test"] == pytest.approx(-np.log(own[:40]).mean())
    assert plain["nll", "test"] == pytest.approx(-np.log(predictions.probabilities[np.arange(80), truth][:40]).mean())


def test_a_label_set_that_is_given_says_what_the_classes_are(tmp_path: Path) -> None:
    own = LabelSet.of(["symmetric", "asymmetric"])
    table = PROBABILITIES.assign(image_id=list("abcd"))
    table.to_csv(tmp_path / "p.csv", index=False)
    named = [
        name for name in evaluate_file(tmp_path / "p.csv", labels=own, resamples=5)["metric"] if "predicted" in name
    ]
    assert named == ["predicted_symmetric", "predicted_asymmetric"]
    table.assign(truth="symmetric", group=list("abcd"), fold="test").to_csv(tmp_path / "p.csv", index=False)
    metrics = evaluate_file(tmp_path / "p.csv", labels=own, resamples=5).set_index("metric")["value"]
    # The fourth image is a tie, which goes to the first class of the label set.
    assert metrics["accuracy"] == 2 / 4
    with pytest.raises(DataError, match="column asymmetric, symmetric is unknown; name the class columns nv, mel"):
        evaluate_file(tmp_path / "p.csv", labels=HAM10000)


def test_scores_of_masks_and_of_saliency_are_told_by_their_columns(tmp_path: Path) -> None:
    keys = {"image_id": ["a", "b"], "group": ["a", "b"], "fold": "test"}
    masks = np.arange(24).reshape(2, 3, 4) % 5 > 1
    scores = segmentation_scores(masks, masks[::-1]).assign(**keys)
    scores.to_csv(tmp_path / "m.csv", index=False)
    metrics = evaluate_file(tmp_path / "m.csv", resamples=20).set_index("metric")["value"]
    assert metrics["dice"] == scores["dice"].mean()
    saliency = pd.DataFrame({**keys, "head": "symmetry", "against": "lesion", "saliency": "network"})
    saliency.assign(energy=[0.25, 0.75], overlap=["", 0.5]).to_csv(tmp_path / "s.csv", index=False)
    table = evaluate_file(tmp_path / "s.csv", resamples=20).set_index("metric")
    assert table["value"].to_dict() == {"overlap": 0.5, "energy": 0.5}
    assert table["images"].to_dict() == {"overlap": 1, "energy": 2}


def test_hard_labels_are_scored_without_what_needs_probabilities(tmp_path: Path) -> None:
    path = written(tmp_path, "image_id,truth,prediction\na,mel,mel\nb,nv,nv\nc,nv,mel\nd,mel,mel\n")
    table = evaluate_file(path, resamples=20).set_index("metric")["value"]
    f1 = [2 / 3, 4 / 5]
    expected = {
        "balanced_accuracy": 0.75,
        "kappa": (0.75 - 0.5) / (1 - 0.5),
        "macro_f1": sum(f1) / 2,
        "accuracy": 0.75,
        "macro_precision": (1 + 2 / 3) / 2,
        "macro_recall": 0.75,
        "weighted_precision": (1 + 2 / 3) / 2,
        "weighted_recall": 0.75,
        "weighted_f1": sum(f1) / 2,
        "sensitivity_nv": 0.5,
        "sensitivity_mel": 1,
    }
    defined = table.dropna().to_dict()
    assert defined == pytest.approx(expected)
    assert set(table.index) == {*expected, *(f"sensitivity_{name}" for name in HAM10000.names)}


def test_several_columns_of_hard_labels_are_scored_one_by_one(tmp_path: Path) -> None:
    table = evaluate_file(written(tmp_path, SEVERAL), resamples=20)
    accuracy = table[table["metric"] == "accuracy"].set_index("prediction")["value"]
    assert accuracy.to_dict() == {"prediction_0": 0.75, "prediction_1": 0.5}
    assert hard_label_columns(pd.DataFrame(columns=["truth", "Prediction", "predicted"])) == ["Prediction"]


def test_groups_and_folds_of_hard_labels_are_read_where_they_are_given(tmp_path: Path) -> None:
    text = "image_id,truth,prediction,group,fold\na,mel,mel,l,0\nb,mel,nv,l,0\nc,nv,nv,m,test\n"
    table = evaluate_file(written(tmp_path, text), resamples=20)
    accuracy = table[table["metric"] == "accuracy"].set_index("fold_part")
    assert accuracy["value"].to_dict() == {"test": 1, "validation": 0.5}
    assert accuracy["groups"].to_dict() == {"test": 1, "validation": 1}


@pytest.mark.parametrize(
    ("truth", "prediction", "labels", "expected"),
    [
        ("nv", "mel", None, HAM10000),
        ("asymmetric", "asymmetric", None, SYMMETRY_BINARY),  # the smallest that has it
        ("asymmetric", "two-axes", None, SYMMETRY),
        ("streaks", "absent", None, LabelSet.of(["absent", "streaks"])),
        ("streaks", "streaks", LabelSet.of(["streaks", "absent"]), LabelSet.of(["streaks", "absent"])),
    ],
)
def test_classes_of_hard_labels_are_a_built_in_set_or_the_sorted_words(
    tmp_path: Path, truth: str, prediction: str, labels: LabelSet | None, expected: LabelSet
) -> None:
    path = written(tmp_path, f"image_id,truth,prediction\na,{truth},{prediction}\n")
    (found,) = read_hard_labels(path, labels).values()
    assert found.labels == expected
    assert found.truth.tolist() == [expected.names.index(truth)]
    assert found.probabilities.argmax(axis=1).tolist() == [expected.names.index(prediction)]


@pytest.mark.parametrize(
    ("text", "labels", "message"),
    [
        ("a,mel,melanoma\n", HAM10000, "unknown class 'melanoma'; write nv, mel, bkl, bcc, akiec, vasc, df"),
        ("a,mel,\nb,nv,nv\n", None, "line 2 has an empty class"),
        ("a,yes,yes\n", None, "the only class is yes; give the label set"),
        ("a,mel,mel\na,nv,nv\n", None, "a doubled image_id: line 3"),
    ],
)
def test_wrong_hard_labels_are_one_line(tmp_path: Path, text: str, labels: LabelSet | None, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        evaluate_file(written(tmp_path, f"image_id,truth,prediction\n{text}"), labels=labels)
    assert "\n" not in str(caught.value)


def test_hard_labels_without_a_truth_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column truth is missing"):
        evaluate_file(written(tmp_path, "image_id,prediction\na,mel\n"))
