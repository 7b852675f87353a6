from pathlib import Path

import pytest

from selcn.errors import DataError
from selcn.evaluation import evaluate_file

SEVERAL = "image_id,truth,prediction_0,prediction_1\na,mel,mel,nv\nb,nv,nv,nv\nc,nv,mel,nv\nd,mel,mel,mel\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "answers.csv"
    path.write_text(text)
    return path


def test_one_column_of_answers_is_scored_without_what_needs_probabilities(tmp_path: Path) -> None:
    path = written(tmp_path, "image_id,truth,prediction\na,mel,mel\nb,nv,nv\nc,nv,mel\nd,mel,mel\n")
    table = evaluate_file(path, resamples=20).set_index("metric")["value"]
    assert table["accuracy"] == 0.75
    assert table["balanced_accuracy"] == 0.75
    assert not any(name.startswith(("auc", "macro_auc", "ece", "nll")) for name in table.index)


def test_several_columns_are_scored_one_by_one(tmp_path: Path) -> None:
    table = evaluate_file(written(tmp_path, SEVERAL), resamples=20)
    accuracy = table[table["metric"] == "accuracy"].set_index("prediction")["value"]
    assert accuracy.to_dict() == {"prediction_0": 0.75, "prediction_1": 0.75}


def test_lesions_and_folds_are_read_where_they_are_given(tmp_path: Path) -> None:
    text = "image_id,truth,prediction,group,fold\na,mel,mel,l,0\nb,mel,nv,l,0\nc,nv,nv,m,test\n"
    table = evaluate_file(written(tmp_path, text), resamples=20)
    accuracy = table[table["metric"] == "accuracy"].set_index("fold_part")
    assert accuracy["value"].to_dict() == {"test": 1, "validation": 0.5}
    assert accuracy["groups"].to_dict() == {"test": 1, "validation": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id,truth,prediction\na,mel,melanoma\n", r"unknown class 'melanoma'; write nv, mel"),
        ("image_id,prediction\na,mel\n", "truth"),
        ("image_id,truth,prediction\na,mel,mel\na,nv,nv\n", "a doubled image_id"),
    ],
)
def test_wrong_answers_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        evaluate_file(written(tmp_path, text))
    assert "\n" not in str(caught.value)
