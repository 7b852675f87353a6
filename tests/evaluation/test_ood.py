"""Separation of images out of distribution, against scikit-learn and by hand."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from selcn.errors import ConfigError, DataError
from selcn.evaluation import ood_table
from selcn.evaluation.conformal import alarm_threshold


def images(values: object, warnings: Any = "", source: Any = "") -> pd.DataFrame:
    table = pd.DataFrame({"distance": np.asarray(values, dtype=float)})
    return table.assign(group=table.index.astype(str), warnings=warnings, source=source)


def names(numbers: Iterable[int]) -> "pd.Series[str]":
    return pd.Series([str(number) for number in numbers])


def value(table: pd.DataFrame, metric: str, score: str = "distance", ood: str = "all") -> float:
    return float(table[(table["metric"] == metric) & (table["score"] == score) & (table["ood"] == ood)]["value"].item())


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.lists(st.integers(3, 12), min_size=1, max_size=60))
def test_separation_is_that_of_scikit_learn(usual: list[int], strange: list[int]) -> None:
    table = ood_table(images(usual), images(strange), resamples=2)
    positive, scores = np.r_[np.ones(len(usual)), np.zeros(len(strange))], -np.r_[usual, strange].astype(float)
    assert value(table, "auroc") == pytest.approx(roc_auc_score(positive, scores))
    passing, usual_passing, _ = roc_curve(positive, scores, drop_intermediate=False)
    assert value(table, "fpr_at_95_tpr") == pytest.approx(passing[usual_passing >= 0.95].min())


def test_by_hand() -> None:
    usual = images(np.arange(1, 21), ["", "blurred"] * 10)
    strange = images([0.5, 19.5, 30, 40], ["blurred; far", "far", "", ""], ["a", "a", "b", "b"])
    table = ood_table(usual, strange, resamples=20)
    # 19 of 20 usual images pass up to a distance of 19, and with them one of the four; of "b" none.
    assert value(table, "fpr_at_95_tpr") == pytest.approx(1 / 4)
    assert value(table, "fpr_at_95_tpr", ood="b") == 0
    assert value(table, "auroc") == pytest.approx((0 + 19 + 20 + 20) / 80)
    assert value(table, "warned", "any warning") == 0.5
    assert value(table, "warned", "blurred") == 0.25
    assert value(table, "warned", "far", "a") == 1
    assert value(table, "false_alarms", "any warning", "") == 0.5
    assert "energy" not in set(table["score"]), "was not measured"
    counts = table[(table["ood"] == "b") & (table["metric"] == "auroc")][["images", "groups"]]
    assert counts.to_numpy().tolist() == [[2, 2]]
    with pytest.raises(DataError, match="no usual images"):
        ood_table(usual.head(0), strange)


def test_images_of_a_lesion_are_resampled_together() -> None:
    usual, strange = images(np.arange(40) % 13), images(3 + np.arange(40) % 17)
    twice = [pd.concat([one, one], ignore_index=True) for one in (usual, strange)]
    alone, doubled = ood_table(usual, strange, resamples=200), ood_table(*twice, resamples=200)
    pd.testing.assert_frame_equal(alone.drop(columns="images"), doubled.drop(columns="images"))


@given(st.lists(st.floats(0, 9), min_size=9, max_size=40, unique=True), st.sampled_from([0.1, 0.25, 0.5]))
def test_a_left_out_lesion_exceeds_the_threshold_as_seldom_as_stated(values: list[float], rate: float) -> None:
    alarms = []
    for number, own in enumerate(values):
        others = np.asarray(values[:number] + values[number + 1 :])
        if len(others) + 1 < 1 / rate:
            return
        alarms.append(own > alarm_threshold(others, names(range(len(others))), rate))
    assert np.mean(alarms) <= rate


def test_alarm_thresholds_by_hand() -> None:
    groups = names([1, 1, 1, 2, 3, 4])
    # Lesions weigh 1/5 each; at 0.4 the three images of the first share its fifth, and 3 and 4 are left out.
    assert alarm_threshold(np.array([9.0, 9, 9, 1, 2, 3]), groups, 0.4) == 3
    assert alarm_threshold(np.array([9.0, 9, 9, 1, 2, 3]), groups, 0.2) == 9
    with pytest.raises(ConfigError, match=r"a rate of 0.1 needs 9 out-of-fold lesions, but there are 4; ask for 0.2"):
        alarm_threshold(np.zeros(6), groups, 0.1)
    with pytest.raises(ConfigError, match="1 is no rate"):
        alarm_threshold(np.zeros(6), groups, 1)
