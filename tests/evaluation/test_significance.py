from collections.abc import Callable
from itertools import product
from statistics import fmean

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selcn.evaluation import Predictions
from selcn.evaluation.classification import hard_metrics_of
from selcn.evaluation.significance import holm, mcnemar, permutation_test
from selcn.labels import SYMMETRY_BINARY

DrawPredictions = Callable[..., Predictions]


def test_mcnemar_counted_by_hand() -> None:
    # Five that only A gets right, one that only B does: 2 * (1 + 6) / 2^6.
    a = np.asarray([True] * 5 + [False] + [True] * 4)
    b = np.asarray([False] * 5 + [True] + [True] * 4)
    assert mcnemar(a, b) == pytest.approx(2 * (1 + 6) / 64)
    assert mcnemar(a, a) == 1


def test_holm_counted_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    corrected = holm([0.5, float("nan"), 0.9])
    assert corrected[0] == 1
    assert np.isnan(corrected[1])
    assert corrected[2] == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_lies_between_p_and_bonferroni(p: list[float]) -> None:
    corrected = holm(p)
    assert all(before <= after <= min(1, len(p) * before) + 1e-12 for before, after in zip(p, corrected, strict=True))
    in_order = [corrected[number] for number in np.argsort(p, kind="stable")]
    assert in_order == sorted(in_order)


def test_a_permutation_test_is_near_to_all_exchanges_counted(draw_predictions: DrawPredictions) -> None:
    names = SYMMETRY_BINARY.names
    a = draw_predictions(images=12, lesions=8, labels=SYMMETRY_BINARY)
    better = a.probabilities / 4 + np.eye(2)[a.truth] * 0.75
    b = Predictions(SYMMETRY_BINARY, a.table.assign(**dict(zip(names, better.T, strict=True))))
    found = permutation_test([a], [b], hard_metrics_of, permutations=4000, seed=0)["accuracy"]
    right_a, right_b = (one.probabilities.argmax(axis=1) == one.truth for one in (a, b))
    lesions = a.table["group"].unique()
    observed = abs(fmean(right_b) - fmean(right_a))
    extreme = []
    for exchange in product([False, True], repeat=len(lesions)):
        turned = a.table["group"].isin(lesions[list(exchange)]).to_numpy()
        first, second = np.where(turned, right_b, right_a), np.where(turned, right_a, right_b)
        extreme.append(abs(second.mean() - first.mean()) >= observed - 1e-12)
    assert found == pytest.approx(np.mean(extreme), abs=0.04)


def judged(lesions: list[str], right: list[bool]) -> Predictions:
    """Images of some lesions, all asymmetric, each predicted rightly or not."""
    share = np.where(right, 0.9, 0.1)
    keys = {"image_id": [str(number) for number in range(len(lesions))], "group": lesions, "fold": "test"}
    return Predictions.of(pd.DataFrame({**keys, "truth": "asymmetric", "asymmetric": share, "symmetric": 1 - share}))


def test_whole_lesions_are_exchanged() -> None:
    # Nine images of one lesion that B alone gets right, three single images that A alone gets right: however lesions
    # are exchanged, the two differ by at least the observed 6 images.
    lesions = ["large"] * 9 + ["x", "y", "z"]
    a, b = judged(lesions, [False] * 9 + [True] * 3), judged(lesions, [True] * 9 + [False] * 3)
    assert permutation_test([a], [b], hard_metrics_of, permutations=200)["accuracy"] == 1


def test_the_observed_exchange_counts_as_one_more() -> None:
    # None of 99 exchanges of 40 lesions is likely to be as extreme as B right and A wrong everywhere.
    lesions = [str(number) for number in range(40)]
    a, b = judged(lesions, [False] * 40), judged(lesions, [True] * 40)
    assert permutation_test([a], [b], hard_metrics_of, permutations=99)["accuracy"] == 1 / 100


def test_predictions_do_not_differ_from_themselves(draw_predictions: DrawPredictions) -> None:
    a = draw_predictions()
    assert set(permutation_test([a], [a], hard_metrics_of, permutations=20).values()) == {1.0}
