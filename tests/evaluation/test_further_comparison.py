"""Paired differences of metrics that are asked for, of scores of masks, and of files of other kinds."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selcn.errors import ConfigError, DataError
from selcn.evaluation import (
    CostTable,
    Further,
    Predictions,
    compare,
    compare_by_profile,
    compare_files,
    compare_scores,
    compare_seeds,
    evaluate_further,
    evaluate_seeds,
    write_predictions,
    write_scores,
)
from selcn.evaluation.predictions import BOUNDARY_SCORES, SCORES
from selcn.labels import SYMMETRY_BINARY

DrawPredictions = Callable[..., Predictions]
COSTS = CostTable(("asymmetric", "symmetric"), np.asarray([[0.0, 5.0], [1.0, 0.0]]))
ASKED = Further(every=True, costs=COSTS, prevalence={"asymmetric": 0.1})


@pytest.fixture
def pair(draw_predictions: DrawPredictions) -> tuple[Predictions, Predictions]:
    first, other = (draw_predictions(labels=SYMMETRY_BINARY, seed=seed) for seed in (0, 1))
    table = first.table.assign(**{name: other.table[name] for name in other.classes})
    return first, Predictions.of(table, labels=SYMMETRY_BINARY)


def scores_of(dice: list[float], groups: list[str] | None = None) -> pd.DataFrame:
    keys = pd.DataFrame({"image_id": [f"i{number}" for number in range(len(dice))]})
    keys = keys.assign(group=groups or keys["image_id"], fold="test")
    return keys.assign(**dict.fromkeys(SCORES, 0.9) | {"dice": dice})


def test_further_differences_are_those_of_both_evaluations(pair: tuple[Predictions, Predictions]) -> None:
    usual, whole = compare(*pair, resamples=30), compare(*pair, further=ASKED, resamples=30)
    pd.testing.assert_frame_equal(
        whole[whole["metric"].isin(usual["metric"])].reset_index(drop=True), usual, check_exact=True
    )
    of_a, of_b = (evaluate_further(one, ASKED, resamples=30) for one in pair)
    more = whole[~whole["metric"].isin(usual["metric"])].reset_index(drop=True)
    assert more["metric"].tolist() == of_a["metric"].tolist()
    assert more["value"].tolist() == pytest.approx((of_b["value"] - of_a["value"]).tolist(), nan_ok=True)
    tested = more.set_index("metric")["p"]["mcc"], more.set_index("metric")["p"]["ece_kde"]
    assert tested[0].between(0, 1).all()
    assert tested[1].isna().all()
    assert more.set_index("metric").loc[["expected_cost_bayes", "net_benefit_asymmetric_at_10"], "p"].notna().all()


def test_p_of_an_expected_cost_counts_all_exchanges() -> None:
    # A misses both lesions of three that are asymmetric, B finds all: costs of 5 each.
    table = pd.DataFrame({"image_id": list("abc"), "group": list("abc"), "fold": "test", "truth": "asymmetric"})
    missed, found = np.asarray([0.2, 0.3, 0.9]), np.asarray([0.8, 0.7, 0.9])
    a, b = (Predictions.of(table.assign(asymmetric=one, symmetric=1 - one)) for one in (missed, found))
    whole = compare(a, b, further=Further(costs=COSTS), resamples=4000).set_index("metric")
    assert whole.loc["expected_cost", "value"] == pytest.approx(-10 / 3)
    # Of the four ways to exchange a and b, two give as large a difference.
    assert whole.loc["expected_cost", "p"] == pytest.approx(0.5, abs=0.03)


def test_seeds_take_the_same_metrics(pair: tuple[Predictions, Predictions]) -> None:
    once, whole = compare(*pair, further=ASKED, resamples=30), compare_seeds(*zip(pair), further=ASKED, resamples=30)
    columns = ["metric", "fold_part", "value", "low", "high", "p"]
    pd.testing.assert_frame_equal(whole[columns], once[columns])
    assert "mcc" in set(evaluate_seeds(list(pair), further=ASKED, resamples=10)["metric"])
    for asked, error in (
        (Further(prevalence={"mel": 0.1}), ConfigError),
        (Further(costs=CostTable(("x", "y"), COSTS.values)), DataError),
    ):
        with pytest.raises(error, match=r"prevalence of mel: no such class|costs of x, y"):
            compare(*pair, further=asked)
        with pytest.raises(error, match=r"prevalence of mel: no such class|costs of x, y"):
            evaluate_seeds(pair, further=asked)


def test_soft_probabilities_are_compared_with_hard_ones(pair: tuple[Predictions, Predictions]) -> None:
    first, _ = pair
    hard = first.with_probabilities(np.eye(2)[first.predicted])
    for one, other in itertools.permutations((first, hard)):
        found = compare(one, other, further=ASKED, resamples=10)
        assert found.loc[found["metric"] == "mcc", "value"].eq(0).all()
        assert "macro_auc" not in set(found["metric"])


def test_scores_of_masks_counted_by_hand() -> None:
    a, b = scores_of([0.5, 0.7, 0.6], ["one", "one", "two"]), scores_of([0.9, 0.7, 0.5], ["one", "one", "two"])
    found = compare_scores(a, b.sample(frac=1, random_state=1), resamples=4000).set_index("metric")
    row = found.loc["dice"]
    assert row["value"] == pytest.approx(0.1)
    # Resamples are of both lesions, of one twice, of two twice: 0.1, 0.2 and -0.1.
    assert [row[name] for name in ("low", "high", "images", "groups")] == pytest.approx([-0.1, 0.2, 3, 2])
    # B - A of lesions one (+0.4) and two (-0.1): exchanges give 0.3, 0.5, -0.5, -0.3, all at least as large.
    assert row["p"] == 1
    assert found.loc["accuracy", "value"] == 0
    assert found.loc["accuracy", "p"] == 1


def test_scores_that_only_one_has_are_left_out(tmp_path: Path) -> None:
    a = scores_of([0.5, 0.7])
    write_scores(a, tmp_path / "a.csv")
    write_scores(a.assign(**dict.fromkeys(BOUNDARY_SCORES, 0.5)), tmp_path / "b.csv")
    found = compare_files(tmp_path / "a.csv", tmp_path / "b.csv", resamples=10)
    assert set(found["metric"]) == {*SCORES, "thresholded_jaccard"}
    reasons, table = compare_by_profile(tmp_path / "b.csv", tmp_path / "b.csv", Further(), resamples=10)
    assert reasons
    assert table["metric"].tolist() == ["dice", "jaccard"]


def test_files_that_cannot_be_compared_are_one_line(tmp_path: Path, pair: tuple[Predictions, Predictions]) -> None:
    scores, classes, hard, saliency = (tmp_path / f"{name}.csv" for name in ("scores", "classes", "hard", "saliency"))
    write_scores(scores_of([0.5, 0.7]), scores)
    write_predictions(pair[0], classes)
    hard.write_text("image_id,truth,prediction\na,asymmetric,symmetric\n")
    saliency.write_text("image_id,saliency\na,x\n")
    other = tmp_path / "other.csv"
    write_scores(scores_of([0.5, 0.7], ["one", "one"]), other)
    for a, b, message in (
        (
            scores,
            classes,
            "scores.csv holds scores of masks, .*classes.csv class probabilities; compare like",
        ),
        (hard, hard, "holds hard labels, which are not compared"),
        (saliency, classes, "holds scores of saliency, which are not compared"),
        (scores, other, "i0, i1 has another group in A than in B"),
    ):
        with pytest.raises(DataError, match=message):
            compare_files(a, b)
    with pytest.raises(ConfigError, match="have no classes, costs or prevalence; leave them out"):
        compare_files(scores, scores, further=ASKED)
    with pytest.raises(ConfigError, match="have neither costs nor prevalence"):
        compare_by_profile(scores, scores, ASKED)
