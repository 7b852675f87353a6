import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from selcn.errors import DataError
from selcn.evaluation.crossvalidation import cross_validation, majority
from selcn.evaluation.predictions import Predictions
from selcn.labels import SYMMETRY_BINARY

CLASSES = SYMMETRY_BINARY.names


def predictions(said: list[float], truth: list[int], folds: list[str], start: int = 0) -> Predictions:
    table = pd.DataFrame(
        {
            "image_id": [f"i{start + n}" for n in range(len(said))],
            "group": [f"g{start + n}" for n in range(len(said))],
            "fold": folds,
            "truth": [CLASSES[number] for number in truth],
            CLASSES[0]: [1 - p for p in said],
            CLASSES[1]: said,
        }
    )
    return Predictions.of(table)


def values(table: pd.DataFrame, metric: str, *names: str) -> list[float]:
    row = table[table["metric"] == metric].iloc[0]
    return [float(row[name]) for name in names]


def test_folds_mean_deviation_and_pooled_of_a_hand_counted_case() -> None:
    whole = predictions([0.9, 0.1, 0.2, 0.8], [1, 0, 1, 1], ["0", "0", "1", "1"])
    table = cross_validation(whole)
    accuracy = values(table, "accuracy", "fold-0", "fold-1", "mean", "sd", "pooled")
    assert accuracy == pytest.approx([1, 0.5, 0.75, np.sqrt(0.125), 0.75])
    assert table["vote"].isna().all()
    # Pooled: 1 of 1 asymmetric and 2 of 3 symmetric are right.
    assert values(table, "balanced_accuracy", "pooled") == pytest.approx([5 / 6])


def test_the_ensemble_and_the_vote_may_differ() -> None:
    truth, folds = [1, 0, 1], ["test"] * 3
    members = [predictions(said, truth, folds) for said in ([0.6, 0.1, 0.6], [0.6, 0.1, 0.1], [0.1, 0.1, 0.6])]
    mean = np.mean([member.probabilities[:, 1] for member in members], axis=0)
    whole = predictions(list(mean), truth, folds)
    table = cross_validation(whole, members)
    # By vote the first and third are symmetric; their mean probabilities are 0.43 and say the opposite.
    assert values(table, "accuracy", "vote", "mean_probability") == pytest.approx([1, 1 / 3])
    assert values(table, "accuracy", "fold-0", "fold-1", "fold-2") == pytest.approx([1, 2 / 3, 2 / 3])
    expected = balanced_accuracy_score(truth, mean > 0.5)
    assert values(table, "balanced_accuracy", "mean_probability") == pytest.approx([expected])


def test_a_tied_vote_goes_to_the_larger_mean_probability() -> None:
    for one, other, winner in (([0.9, 0.1], [0.45, 0.55], 0), ([0.6, 0.4], [0.1, 0.9], 1)):
        shares = majority([np.array([one]), np.array([other])])
        assert shares.argmax() == winner
        assert shares.sum() == pytest.approx(1)


def test_the_thesis_conventions_of_ties_and_deviation() -> None:
    votes = [
        np.array([[0.9, 0.1, 0.0]]),
        np.array([[0.1, 0.9, 0.0]]),
        np.array([[0.9, 0.0, 0.1]]),
        np.array([[0.0, 1, 0]]),
    ]
    assert majority(votes).argmax() == 1  # of the larger mean probability
    assert majority(votes, ["nv", "mel", "akiec"]).argmax() == 1  # akiec has no vote
    assert majority(votes, ["mel", "nv", "akiec"]).argmax() == 0
    assert majority(votes[:3], ["nv", "mel", "akiec"]).argmax() == 0  # no tie
    truth, folds = [1, 0, 1], ["test"] * 3
    members = [predictions(said, truth, folds) for said in ([0.6, 0.1, 0.6], [0.6, 0.1, 0.1], [0.1, 0.1, 0.6])]
    ours, theirs = (cross_validation(members[0], members, deviation=one) for one in ("n-1", "n"))
    assert values(ours, "accuracy", "sd") == pytest.approx([np.std([1, 2 / 3, 2 / 3], ddof=1)])
    assert values(theirs, "accuracy", "sd") == pytest.approx([np.std([1, 2 / 3, 2 / 3])])


def test_members_are_put_into_the_order_of_the_ensemble() -> None:
    truth, folds = [1, 0, 1, 1], ["test"] * 4
    members = [predictions(said, truth, folds) for said in ([0.9, 0.2, 0.8, 0.4], [0.7, 0.8, 0.9, 0.3])]
    whole = predictions([0.8, 0.5, 0.85, 0.35], truth, folds)
    turned = [Predictions.of(members[0].table[::-1]), Predictions.of(members[1].table.iloc[[2, 0, 3, 1]])]
    pd.testing.assert_frame_equal(cross_validation(whole, turned), cross_validation(whole, members))


def test_members_may_predict_images_that_the_ensemble_leaves_out() -> None:
    whole = predictions([0.6, 0.4], [1, 0], ["test", "test"])
    more = predictions([0.6, 0.4, 0.9], [1, 0, 0], ["test", "test", "test"])
    pd.testing.assert_frame_equal(cross_validation(whole, [more]), cross_validation(whole, [whole]))


def test_members_of_other_classes_are_refused() -> None:
    whole = predictions([0.6, 0.4], [1, 0], ["test", "test"])
    other = Predictions.of(whole.table.rename(columns={"symmetric": "x"}).assign(truth="x"))
    with pytest.raises(DataError, match="has classes asymmetric, x, the ensemble asymmetric, symmetric; give members"):
        cross_validation(whole, [other])


def test_members_of_other_images_and_files_without_folds_are_refused() -> None:
    whole = predictions([0.6, 0.4], [1, 0], ["test", "test"])
    with pytest.raises(DataError, match="lack images"):
        cross_validation(whole, [predictions([0.6, 0.4], [1, 0], ["test", "test"], start=5)])
    with pytest.raises(DataError, match="nothing to cross-validate"):
        cross_validation(whole)
