"""Differences over several seeds: mean, spread, both intervals and the test, against hand counts and `compare`."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selcn.errors import ConfigError, DataError
from selcn.evaluation import Predictions, compare, compare_seeds

DrawPredictions = Callable[..., Predictions]


def judged(right: Sequence[bool]) -> Predictions:
    """One image a lesion, all asymmetric, each predicted rightly or not."""
    share = np.where(right, 0.9, 0.1)
    names = [str(number) for number in range(len(right))]
    keys = {"image_id": names, "group": names, "fold": "test", "truth": "asymmetric"}
    return Predictions.of(pd.DataFrame({**keys, "asymmetric": share, "symmetric": 1 - share}))


def accuracy(table: pd.DataFrame) -> pd.Series:
    return table[(table["metric"] == "accuracy") & (table["fold_part"] == "test")].iloc[0]


def test_one_seed_is_an_ordinary_comparison(draw_predictions: DrawPredictions) -> None:
    a = draw_predictions(images=80, lesions=50)
    other = draw_predictions(images=80, lesions=50, seed=1).table[a.classes]
    b = Predictions.of(a.table.assign(**other))
    found = compare_seeds([a], [b], resamples=60, seed=2)
    of_seeds = ["seeds", "seed_sd", "low_seeds", "high_seeds"]
    pd.testing.assert_frame_equal(
        found.drop(columns=of_seeds), compare(a, b, resamples=60, seed=2).drop(columns="p_mcnemar")
    )
    assert (found["seeds"] == 1).all()
    assert found[of_seeds[1:]].isna().all(axis=None)


def test_mean_and_spread_counted_by_hand() -> None:
    # Of ten images A gets five right with every seed; B six, seven and nine: differences 0.1, 0.2 and 0.4.
    a, b = [judged([True] * 5 + [False] * 5)] * 3, [judged([True] * n + [False] * (10 - n)) for n in (6, 7, 9)]
    row = accuracy(compare_seeds(a, b, resamples=500))
    assert row["value"] == pytest.approx(0.7 / 3)
    assert row["seed_sd"] == pytest.approx(np.sqrt(0.07 / 3))  # squares (0.4^2 + 0.1^2 + 0.5^2) / 9, over 3 - 1
    half = 4.302653 * np.sqrt(0.07 / 3) / np.sqrt(3)  # t of two degrees of freedom
    assert row["low_seeds"] == pytest.approx(row["value"] - np.hypot(row["value"] - row["low"], half))
    assert row["high_seeds"] == pytest.approx(row["value"] + np.hypot(row["high"] - row["value"], half))


def test_both_methods_vary_with_the_seed() -> None:
    a, b = ([judged([True] * n + [False] * (10 - n)) for n in counts] for counts in ((5, 7), (6, 9)))
    row = accuracy(compare_seeds(a, b, resamples=50))
    assert row["value"] == pytest.approx((0.1 + 0.2) / 2)
    assert row["seed_sd"] == pytest.approx(np.sqrt(0.005))


def test_a_lesion_is_drawn_and_exchanged_in_all_seeds_at_once() -> None:
    # Copies of one seed hold no more lesions than one does: interval and p stay as they are.
    a, b = judged([True, False] * 10), judged([True, True, False, True] * 5)
    one, four = (accuracy(compare_seeds([a] * n, [b] * n, resamples=300, seed=1)) for n in (1, 4))
    assert four[["value", "low", "high", "p"]].to_dict() == one[["value", "low", "high", "p"]].to_dict()
    assert four["seed_sd"] == 0
    assert (four["low_seeds"], four["high_seeds"]) == pytest.approx((four["low"], four["high"]))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=8, max_size=8), min_size=2, max_size=4), st.randoms())
def test_the_order_of_seeds_does_not_matter_and_the_second_interval_is_the_wider(
    rights: list[list[bool]], random: np.random.Generator
) -> None:
    pairs = [(judged([True, False] * 4), judged(right)) for right in rights]
    shuffled = list(pairs)
    random.shuffle(shuffled)
    first, second = (accuracy(compare_seeds(*zip(*some, strict=True), resamples=20)) for some in (pairs, shuffled))
    numbers = ["value", "low", "high", "seed_sd", "low_seeds", "high_seeds"]
    assert first[numbers].to_list() == pytest.approx(second[numbers].to_list())
    assert first["low_seeds"] <= first["low"] <= first["high"] <= first["high_seeds"]


def test_seeds_of_other_images_or_without_a_partner_are_refused(draw_predictions: DrawPredictions) -> None:
    a = draw_predictions()
    with pytest.raises(ConfigError, match="A has 2 seeds, B 1"):
        compare_seeds([a, a], [a])
    with pytest.raises(ConfigError, match="A has 0 seeds"):
        compare_seeds([], [])
    with pytest.raises(DataError, match="is in only one of A and B"):
        compare_seeds([a, Predictions.of(a.table[3:])], [a, a])
