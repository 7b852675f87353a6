"""Components of variance against hand counts, SciPy's analysis of variance, and a simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f_oneway

from selcn.errors import ConfigError
from selcn.evaluation import Predictions, evaluate_classification, evaluate_seeds, training_variance
from selcn.evaluation.variance import components


def judged(right: list[bool]) -> Predictions:
    """One image a lesion, all asymmetric, each predicted rightly or not."""
    share = np.where(right, 0.9, 0.1)
    names = [str(number) for number in range(len(right))]
    keys = {"image_id": names, "group": names, "fold": "test", "truth": "asymmetric"}
    return Predictions.of(pd.DataFrame({**keys, "asymmetric": share, "symmetric": 1 - share}))


def scored(count: int, images: int = 10) -> Predictions:
    return judged([True] * count + [False] * (images - count))


def accuracy(table: pd.DataFrame) -> pd.Series:
    return table[table["metric"] == "accuracy"].iloc[0]


def test_components_counted_by_hand() -> None:
    # Seeds differ, folds do not: squares 4 * 0.1^2 over 3 folds of one degree of freedom each.
    assert components(np.array([[0.6, 0.7, 0.8], [0.8, 0.7, 0.6]])) == pytest.approx((np.sqrt(0.04 / 3), 0, 0))
    # Folds differ, seeds do not: standard deviation 0.1; t of two degrees of freedom times sqrt(2 * 0.01 / 6).
    found = components(np.array([[0.5, 0.6, 0.7], [0.5, 0.6, 0.7]]))
    assert found == pytest.approx((0, 0.1, 4.302653 * np.sqrt(0.02 / 6)), abs=1e-6)
    assert np.isnan(components(np.array([[0.5, 0.6]]))[:2]).all()
    assert np.isnan(components(np.array([[0.5], [0.6]]))[1:]).all()


def test_components_are_those_of_an_analysis_of_variance() -> None:
    values = np.random.default_rng(0).normal(size=(4, 5)) + np.arange(5)
    seed_sd, fold_sd, _ = components(values)
    ratio = f_oneway(*values.T).statistic
    assert fold_sd**2 == pytest.approx(seed_sd**2 * (ratio - 1) / 4)


def test_known_components_are_found_on_average_and_the_interval_covers() -> None:
    generator = np.random.default_rng(1)
    found = np.array(
        [
            (*components(values), values.mean())
            for values in (generator.normal(0, 0.03, (1, 5)) + generator.normal(0, 0.02, (3, 5)) for _ in range(2000))
        ]
    )
    assert np.sqrt((found[:, 0] ** 2).mean()) == pytest.approx(0.02, rel=0.03)
    assert (abs(found[:, 3]) <= found[:, 2]).mean() == pytest.approx(0.95, abs=0.015)


def test_members_of_seeds_and_folds() -> None:
    members = [[scored(5), scored(6), scored(7)], [scored(5), scored(6), scored(7)]]
    row = accuracy(training_variance(members, resamples=200))
    assert row[["value", "seed_sd", "fold_sd"]].tolist() == pytest.approx([0.6, 0, 0.1], abs=1e-6)
    assert (row["seeds"], row["folds"], row["images"]) == (2, 3, 10)
    assert row["lesion_sd"] == pytest.approx((row["high"] - row["low"]) / 3.919928)
    half = 4.302653 * np.sqrt(0.02 / 6)
    assert row["low_training"] == pytest.approx(0.6 - np.hypot(0.6 - row["low"], half), abs=1e-6)
    assert row["high_training"] == pytest.approx(0.6 + np.hypot(row["high"] - 0.6, half), abs=1e-6)


def test_differences_are_paired_by_seed_and_fold() -> None:
    # A and B rise together from fold to fold: their difference does not vary.
    a, b = ([[scored(n + more) for n in (4, 5, 6)]] * 2 for more in (0, 2))
    row = accuracy(training_variance(b, a, resamples=100))
    assert row[["value", "seed_sd", "fold_sd"]].tolist() == pytest.approx([0.2, 0, 0], abs=1e-6)


def test_one_seed_of_one_method_is_an_ordinary_evaluation() -> None:
    alone = scored(7)
    ordinary = evaluate_classification(alone, resamples=100)
    found = evaluate_seeds([alone], resamples=100)
    pd.testing.assert_frame_equal(found[ordinary.columns], ordinary)
    assert found[["seed_sd", "low_seeds", "high_seeds"]].isna().all(axis=None)
    row = accuracy(evaluate_seeds([scored(6), scored(8)], resamples=100))
    assert row[["value", "seed_sd"]].tolist() == pytest.approx([0.7, np.sqrt(0.02)])


def test_missing_members_are_refused() -> None:
    with pytest.raises(ConfigError, match="members differ in number"):
        training_variance([[scored(5)], [scored(5), scored(6)]])
    with pytest.raises(ConfigError, match="there are no seeds"):
        evaluate_seeds([])
