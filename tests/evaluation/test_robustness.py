"""Metrics of corrupted images, against scikit-learn and by hand; differences are paired by lesion."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from selcn.errors import DataError
from selcn.evaluation import robustness_table
from selcn.labels import SYMMETRY_BINARY

NAMES = SYMMETRY_BINARY.names


def condition(corruption: str, severity: int, shares: np.ndarray, **columns: Any) -> pd.DataFrame:
    """12 images of 6 lesions, half of them asymmetric; shares are the probability of asymmetric."""
    table = pd.DataFrame({"image_id": [f"i{n:02}" for n in range(12)], "group": [f"g{n // 2}" for n in range(12)]})
    table["truth"] = np.repeat(NAMES, 6)
    table = table.assign(corruption=corruption, severity=severity, **columns)
    return table.assign(**{NAMES[0]: shares, NAMES[1]: 1 - shares})


def test_each_condition_is_scored_alone_and_compared_with_the_clean_images() -> None:
    generator = np.random.default_rng(0)
    clean = np.repeat([0.9, 0.1], 6)
    shares = {("noise", 1): generator.random(12), ("noise", 2): generator.random(12), ("hair", 1): clean}
    parts = [condition("clean", 0, clean, covered=1.0, saliency=1.0, abstained=False)]
    for (name, severity), own in shares.items():
        stable = np.where(np.arange(12) < 3, np.nan, 0.5)
        shuffled = condition(name, severity, own, covered=own > 0.4, saliency=stable, abstained=own > 2)
        parts.append(shuffled.sample(frac=1, random_state=severity))
    table = robustness_table(pd.concat(parts, ignore_index=True), SYMMETRY_BINARY, resamples=50)
    found = table.set_index(["corruption", "severity", "metric"])
    truth = np.repeat(NAMES, 6)
    accuracies = []
    for (name, severity), own in shares.items():
        expected = balanced_accuracy_score(truth, np.where(own >= 0.5, *NAMES))
        row: Any = found.loc[(name, str(severity), "balanced_accuracy"), :]
        assert row["value"] == pytest.approx(expected)
        assert row["difference"] == pytest.approx(expected - 1)
        accuracies.append(expected)
        assert found.loc[(name, str(severity), "coverage"), "value"] == pytest.approx((own > 0.4).mean())
        assert found.loc[(name, str(severity), "saliency_stability"), "value"] == 0.5, "undefined maps are left out"
    assert found.loc[("noise", "mean", "balanced_accuracy"), "value"] == pytest.approx(np.mean(accuracies[:2]))
    assert found.loc[("all", "1", "balanced_accuracy"), "value"] == pytest.approx(np.mean(accuracies[::2]))
    assert found.loc[("all", "mean", "balanced_accuracy"), "value"] == pytest.approx(np.mean(accuracies))
    # The same images: the difference is 0 in every resample, however much the value itself varies.
    same: Any = found.loc[("hair", "1", "ece"), :]
    assert (same["difference"], same["difference_low"], same["difference_high"]) == (0, 0, 0)
    assert found.loc[("clean", "0", "ece"), "value"] == pytest.approx(0.1)
    assert "set_size" not in set(table["metric"]), "was not measured"
    assert set(table["images"]) == {12}
    assert set(table["groups"]) == {6}


def test_conditions_of_other_images_are_refused() -> None:
    clean = condition("clean", 0, np.full(12, 0.5))
    with pytest.raises(DataError, match="noise 1 is not of the clean images"):
        robustness_table(pd.concat([clean, clean.assign(corruption="noise", severity=1).head(11)]), SYMMETRY_BINARY)
    with pytest.raises(DataError, match="no rows of clean images"):
        robustness_table(clean.assign(corruption="noise"), SYMMETRY_BINARY)
