"""Tables against counts by hand."""

import pandas as pd
import pytest

from selcn.evaluation import Estimate, Predictions
from selcn.labels import HAM10000, SYMMETRY_BINARY, LabelSet
from selcn.report.measurements import Measurement, Measurements, primary_part
from selcn.report.metric_tables import compare_measurements, tabulate, tabulate_by_labels, tabulate_confusion


def measured(*parts: str, value: float = 0.25) -> Measurements:
    figure = Measurement(Estimate(value, 0.125, 0.5), 9, 7)
    return {part: {"balanced_accuracy": figure} for part in parts}


def symmetry_predictions(folds: list[str]) -> Predictions:
    return Predictions.of(
        pd.DataFrame(
            {
                "image_id": list("abcd"),
                "group": list("abcd"),
                "fold": folds,
                "truth": ["asymmetric", "asymmetric", "asymmetric", "asymmetric"],
                "asymmetric": [0.9, 0.8, 0.6, 0.1],
                "symmetric": [0.1, 0.2, 0.4, 0.9],
            }
        )
    )


def test_confusion_has_shares_of_rows_and_none_for_a_class_without_images() -> None:
    table = tabulate_confusion("symmetry", symmetry_predictions(["test"] * 4))
    assert table.rows == {"asymmetric": [(3, 0.75), (1, 0.25)], "symmetric": [(0, None), (0, None)]}
    assert table.part == "test"


def test_confusion_is_of_the_test_part_alone_or_else_of_validation() -> None:
    assert tabulate_confusion("", symmetry_predictions(["test", "0", "1", "test"])).rows["asymmetric"] == [
        (1, 0.5),
        (1, 0.5),
    ]
    assert tabulate_confusion("", symmetry_predictions(["0", "0", "1", "1"])).part == "validation"


def test_a_part_has_a_table_of_those_measured_on_it() -> None:
    tables = tabulate("t", {"a": measured("test", "validation"), "b": measured("validation")})
    assert [(table.part, list(table.rows)) for table in tables] == [("test", ["a"]), ("validation", ["a", "b"])]
    assert tables[0].metrics == ["balanced_accuracy"]
    assert (tables[0].sample.images, tables[0].sample.groups) == (9, 7)


@pytest.mark.parametrize(("parts", "part"), [(["test", "validation"], "test"), (["validation"], "validation")])
def test_a_difference_is_judged_on_the_foremost_part(parts: list[str], part: str) -> None:
    comparison = compare_measurements("x", "y", measured(*parts))
    assert primary_part(measured(*parts)) == comparison.part == part
    assert comparison.verdict == "balanced accuracy: y is better by 25.0 points (95 % interval 12.5 to 50.0)"


def test_classifiers_of_one_label_set_share_a_table() -> None:
    own = LabelSet.of(["absent", "present"], column="blue_veil")
    rows = [("a", HAM10000), ("b", SYMMETRY_BINARY), ("c", HAM10000), ("d", own)]
    tables = tabulate_by_labels((name, labels, measured("test")) for name, labels in rows)
    assert [(table.title, list(table.rows)) for table in tables] == [
        ("Diagnosis (ham10000)", ["a", "c"]),
        ("Symmetry (symmetry-binary)", ["b"]),
        ("Blue veil (absent, present)", ["d"]),
    ]


def test_the_first_metric_is_the_one_that_is_asked_for() -> None:
    figures = {name: Measurement(Estimate(0.5, 0.25, 0.75), 9, 7) for name in ("jaccard", "accuracy", "dice")}
    (table,) = tabulate("Segmentation", {"lesion": {"test": figures}}, first="dice")
    assert table.metrics == ["dice", "accuracy", "jaccard"]
    assert table.frame()["metric"].tolist() == ["dice", "accuracy", "jaccard"]
