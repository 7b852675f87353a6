"""Files that read back to the same numbers, and one line for each mistake."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selcn.errors import DataError
from selcn.evaluation import Predictions, read_predictions, read_scores, write_predictions, write_scores
from selcn.evaluation.predictions import as_predictions
from selcn.labels import HAM10000, LABEL_SETS, SYMMETRY, SYMMETRY_BINARY, LabelClass, LabelSet


def symmetry_table(**columns: Any) -> pd.DataFrame:
    """Four images of three lesions; columns given replace those here."""
    table = {
        "image_id": ["a1", "a2", "b1", "c1"],
        "group": ["A", "A", "B", "C"],
        "fold": ["test", "test", "0", "1"],
        "truth": ["asymmetric", "asymmetric", "symmetric", "symmetric"],
        "asymmetric": [0.75, 0.5, 0.25, 0.125],
        "symmetric": [0.25, 0.5, 0.75, 0.875],
    }
    return pd.DataFrame(table | columns)


def scores_table(**columns: Any) -> pd.DataFrame:
    table = {"image_id": ["a1", "b1"], "group": ["A", "B"], "fold": ["test", "0"], "dice": [0.5, 1 / 3]}
    table |= {score: [0.1, 1.0] for score in ["jaccard", "sensitivity", "specificity", "accuracy"]}
    return pd.DataFrame(table | columns)


OWN = LabelSet("own set", (LabelClass("globules", malignant=False), LabelClass("streaks", malignant=True)))


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        (None, HAM10000),
        (None, SYMMETRY_BINARY),
        (None, SYMMETRY),
        (None, LabelSet.of(["zebra", "ant", "moth"])),  # of no built-in set: the order of the columns
        (OWN, OWN),
    ],
)
def test_classes_are_resolved_from_the_columns_or_given(given: LabelSet | None, labels: LabelSet) -> None:
    names = labels.names
    probabilities = dict(zip(names, np.eye(len(names)), strict=True))
    keys = {"image_id": names, "group": names, "fold": "test", "truth": names}
    columns = keys | probabilities
    if given or labels.name in LABEL_SETS:
        columns = dict(reversed(columns.items()))
    predictions = Predictions.of(pd.DataFrame(columns), labels=given)
    assert predictions.labels == labels
    assert predictions.classes == names
    assert list(predictions.table.columns) == ["image_id", "group", "fold", "truth", *names]
    np.testing.assert_array_equal(predictions.truth, np.arange(len(names)))
    np.testing.assert_array_equal(predictions.probabilities, np.eye(len(names)))


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_a_file_reads_back_to_the_same_numbers(tmp_path_factory: pytest.TempPathFactory, share: list[float]) -> None:
    path = tmp_path_factory.mktemp("round_trip") / "predictions.csv"
    written = Predictions.of(symmetry_table(asymmetric=share, symmetric=[1 - value for value in share]))
    write_predictions(written, path)
    pd.testing.assert_frame_equal(read_predictions(path).table, written.table, check_exact=True)


def test_what_is_predicted_is_named_by_its_column_or_the_most_probable_class(tmp_path: Path) -> None:
    table = symmetry_table()
    likeliest = Predictions.of(table)
    assert likeliest.predicted.tolist() == likeliest.probabilities.argmax(axis=1).tolist()
    named = Predictions.of(
        table.assign(predicted=["Symmetric", "Symmetric", "asymmetric", "asymmetric"]), labels=SYMMETRY_BINARY
    )
    write_predictions(named, tmp_path / "p.csv")
    again = read_predictions(tmp_path / "p.csv")
    assert again.labels == SYMMETRY_BINARY
    assert again.predicted.tolist() == [1, 1, 0, 0]
    assert again.confidence.tolist() == again.probabilities[[0, 1, 2, 3], [1, 1, 0, 0]].tolist()
    joined = Predictions(SYMMETRY_BINARY, pd.concat([named.table, likeliest.table], ignore_index=True))
    assert joined.predicted.tolist() == [1, 1, 0, 0, *likeliest.predicted]


def test_float32_probabilities_read_back_to_the_same_numbers(tmp_path: Path) -> None:
    share = np.asarray([0.1, 0.2, 1 / 3, 0.7], dtype=np.float32)
    written = Predictions.of(symmetry_table(asymmetric=share, symmetric=1 - share))
    write_predictions(written, tmp_path / "predictions.csv")
    np.testing.assert_array_equal(
        read_predictions(tmp_path / "predictions.csv").probabilities[:, 0], share.astype(np.float64)
    )


def test_ids_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    ids = ["0012", "NA", "1e3", "nan"]
    write_predictions(Predictions.of(symmetry_table(image_id=ids, group=ids)), path)
    assert read_predictions(path).table["image_id"].tolist() == ids
    assert read_predictions(path).table["group"].tolist() == ids


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("old")

    def fill_the_disk(_table: pd.DataFrame, target: Path, **_options: object) -> None:
        target.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fill_the_disk)
    with pytest.raises(
        DataError, match=r"predictions\.csv: not writable \(No space left on device\); check the folder"
    ):
        write_predictions(Predictions.of(symmetry_table()), path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("predictions.csv", "old")]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"predictions\.csv: not writable"):
        write_predictions(Predictions.of(symmetry_table()), tmp_path / "file" / "predictions.csv")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"truth": ["asymmetric", "mel", "symmetric", "Symmetric"]},
            "2 rows with an unknown truth: line 3 (a2), line 5 (c1); use one of asymmetric, symmetric",
        ),
        (
            {"symmetric": ["0.25", "", "0.75", "x"]},
            "2 rows with no number in column symmetric: line 3 (a2), line 5 (c1); write a fraction from 0 to 1",
        ),
        (
            {"asymmetric": [np.nan, 0.5, 0.25, np.inf], "symmetric": [0.25, 0.5, 0.75, -np.inf]},
            "2 rows with no number in column asymmetric, symmetric: line 2 (a1), line 5 (c1); "
            "write a fraction from 0 to 1",
        ),
        (
            {"asymmetric": [0.75, 0.5, 0.25, 1.5], "symmetric": [0.25, 0.5, 0.75, -0.5]},
            "1 row with a value outside 0 to 1 in column asymmetric, symmetric: line 5 (c1); "
            "write a fraction from 0 to 1",
        ),
        (
            {"symmetric": [0.2489, 0.5009, 0.75, 0.8761]},
            "2 rows with probabilities that do not sum to 1: line 2 (a1), line 5 (c1); write the softmax",
        ),
        (
            {"image_id": ["a1", "a1", "b1", "c1"]},
            "1 row with a doubled image_id: line 3 (a1); keep one row for each image",
        ),
        ({"image_id": ["a1", " ", "b1", "c1"]}, "1 row with an empty image_id: line 3 ( ); fill it in"),
        (
            {"group": ["A", "A", "", ""]},
            "2 rows with an empty group: line 4 (b1), line 5 (c1); "
            "give the lesion or, where none is known, the image_id",
        ),
        (
            {"fold": ["test", "test", "train", "-1"]},
            "2 rows with an unknown fold: line 4 (b1), line 5 (c1); use test, calibration or the fold's number",
        ),
        (
            {"fold": ["test", 0, 1, 1]},
            "2 rows with a divided lesion (its group lies in several folds): line 2 (a1), line 3 (a2); "
            "split by group and predict again",
        ),
        (
            {"group": ["A", "A", "B", "B"]},
            "2 rows with a divided lesion (its group lies in several folds): line 4 (b1), line 5 (c1); "
            "split by group and predict again",
        ),
        (
            {"predicted": ["symmetric", "nv", "symmetric", "asymmetric"]},
            "1 row with an unknown predicted class: line 3 (a2); use one of asymmetric, symmetric",
        ),
        (
            {"truth": ["?", "?", "?", "?"]},
            "4 rows with an unknown truth: line 2 (a1), line 3 (a2), line 4 (b1) and 1 more; "
            "use one of asymmetric, symmetric",
        ),
    ],
)
def test_bad_rows_are_named(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        Predictions.of(symmetry_table(**columns), "p.csv")
    assert str(caught.value) == f"p.csv: {message}"


def test_all_faults_are_reported_at_once() -> None:
    table = symmetry_table(truth=["nv", "asymmetric", "symmetric", "symmetric"], image_id=["a1", "a1", "b1", "c1"])
    with pytest.raises(DataError, match=r"a doubled image_id.* \| .*an unknown truth"):
        Predictions.of(table)


@pytest.mark.parametrize(
    ("dropped", "message"),
    [
        (["group", "truth"], "p: column group, truth is missing; add it to the header and to every row"),
        (
            ["symmetric"],
            "p: class columns are asymmetric; write a column of probabilities for each of two or more",
        ),
        (
            ["symmetric", "asymmetric"],
            "p: class columns are none; write a column of probabilities for each of two or more",
        ),
    ],
)
def test_missing_columns_are_named(dropped: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        Predictions.of(symmetry_table().drop(columns=dropped), "p")
    assert str(caught.value) == message


def test_columns_must_be_exactly_the_classes_of_a_given_label_set(tmp_path: Path) -> None:
    symmetry_table().rename(columns={"symmetric": "two"}).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(DataError) as caught:
        read_predictions(tmp_path / "p.csv", SYMMETRY_BINARY)
    assert str(caught.value) == (
        f"{tmp_path / 'p.csv'}: column symmetric is missing and column two is unknown; "
        "name the class columns asymmetric, symmetric"
    )
    with pytest.raises(DataError, match="predictions: column age is unknown; name the class columns asymmetric, symm"):
        as_predictions(Predictions.of(symmetry_table(age=0)), SYMMETRY_BINARY)


def test_errors_name_classes_that_were_resolved_from_the_columns() -> None:
    with pytest.raises(DataError) as caught:
        Predictions.of(symmetry_table(note=["", "x", "", ""]), "p.csv")
    assert str(caught.value) == (
        "p.csv (classes asymmetric, symmetric, note): 4 rows with no number in column note: line 2 (a1), line 3 (a2), "
        "line 4 (b1) and 1 more; write a fraction from 0 to 1"
    )
    with pytest.raises(DataError, match=r"^p\.csv: 4 rows with no number in column note"):
        Predictions.of(symmetry_table(note=""), "p.csv", LabelSet.of(["asymmetric", "symmetric", "note"]))


def test_predictions_in_hand_are_taken_as_they_are_or_checked_against_a_label_set() -> None:
    predictions = Predictions.of(symmetry_table())
    assert as_predictions(predictions) is predictions
    turned = LabelSet.of(["symmetric", "asymmetric"])
    assert as_predictions(predictions, turned).truth.tolist() == [1, 1, 0, 0]
    np.testing.assert_array_equal(as_predictions(predictions, turned).probabilities[:, 0], [0.25, 0.5, 0.75, 0.875])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; write a header and rows"),
        (b"image_id,group,fold,truth,asymmetric,symmetric\n", "no rows; write one row for each image"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: 3 values under 2 columns"),
        (b"a\n\xff\n", "line 2 is not UTF-8"),
    ],
)
def test_unreadable_files_are_said(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_predictions(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv: cannot be read .*No such file.*; check the path"):
        read_predictions(tmp_path / "absent.csv")


def test_scores_read_back_to_the_same_numbers(tmp_path: Path) -> None:
    write_scores(scores_table(), tmp_path / "scores.csv")
    pd.testing.assert_frame_equal(read_scores(tmp_path / "scores.csv"), scores_table(), check_exact=True)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"dice": [0.5, 1.5]}, "1 row with a value outside 0 to 1 in column dice: line 3 \\(b1\\)"),
        ({"jaccard": [np.nan, 1.0]}, "1 row with no number in column jaccard: line 2 \\(a1\\)"),
        ({"image_id": ["a1", "a1"]}, "a doubled image_id"),
        ({"group": ["A", "A"]}, "a divided lesion"),
    ],
)
def test_bad_scores_are_named(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    scores_table(**columns).to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(DataError, match=message):
        read_scores(tmp_path / "scores.csv")
    with pytest.raises(DataError, match=message):
        write_scores(scores_table(**columns), tmp_path / "not_written.csv")
    assert not (tmp_path / "not_written.csv").exists()


def test_missing_score_columns_are_named(tmp_path: Path) -> None:
    scores_table().drop(columns=["fold", "dice"]).to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(DataError, match="column fold, dice is missing"):
        read_scores(tmp_path / "scores.csv")
