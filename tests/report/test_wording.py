"""Figures as they are written."""

import pytest

from selcn.evaluation import Estimate
from selcn.report.wording import bounds, duration, interval, number, spoken

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (0.4714285714, False, "0.471"),
        (1.0, False, "1.000"),
        (-0.0449, False, "-0.045"),
        (-0.0001, False, "0.000"),
        (0.22857, True, "+0.229"),
        (-0.0001, True, "+0.000"),
        (NAN, True, "undefined"),
    ],
)
def test_number_has_three_decimals_and_no_negative_zero(value: float, signed: bool, text: str) -> None:
    assert number(value, signed=signed) == text


def test_interval_is_given_or_said_to_be_missing() -> None:
    assert interval(Estimate(0.5, 0.25, 0.75)) == "0.500 (0.250 to 0.750)"
    assert interval(Estimate(0.5, -0.25, 0.75), signed=True) == "+0.500 (-0.250 to +0.750)"
    assert bounds(Estimate(0.5, NAN, NAN)) == "no interval"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (89.94, "89.9 s"), (90, "2 min"), (5300, "88 min"), (7260, "2 h 1 min")]
)
def test_duration_is_in_the_unit_people_would_use(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("balanced_accuracy", "balanced accuracy"),
        ("kappa", "Cohen's kappa"),
        ("sensitivity_mel", "sensitivity for mel"),
        ("sensitivity", "sensitivity"),
        ("macro_f1", "macro F1"),
    ],
)
def test_metrics_are_named_as_people_write_them(metric: str, text: str) -> None:
    assert spoken(metric) == text
