"""Tables against counts by hand."""

import pandas as pd
import pytest
from selcn.report.finished import Measurement, Measurements

from selcn.evaluation import Estimate, Predictions
from selcn.report.metric_tables import foremost, judge_difference, tabulate, tabulate_confusion


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


def test_confusion_has_shares_of_rows_and_zeros_for_a_class_without_images() -> None:
    table = tabulate_confusion("symmetry", symmetry_predictions(["test"] * 4))
    assert table.rows == {"asymmetric": [(3, 0.75), (1, 0.25)], "symmetric": [(0, 0.0), (0, 0.0)]}
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
    comparison = judge_difference("x", "y", measured(*parts))
    assert foremost(measured(*parts)) == comparison.part == part
    assert comparison.verdict == "balanced accuracy: y is better by 25.0 points (95 % interval 12.5 to 50.0)"
