"""Scores of masks against fractions counted by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, f1_score, jaccard_score, recall_score

from selcn.errors import DataError
from selcn.evaluation import evaluate_segmentation, segmentation_scores, summarise_segmentation, write_scores
from selcn.evaluation.predictions import BOUNDARY_SCORES

SCORES = ["dice", "jaccard", "sensitivity", "specificity", "accuracy"]


def mask(*rows: str) -> np.ndarray:
    """A (1, H, W) mask drawn in # and dots."""
    return np.asarray([[[pixel == "#" for pixel in row] for row in rows]])


EMPTY = mask("....", "....", "....", "....")
FULL = ~EMPTY
TOP = mask("####", "####", "....", "....")
SHIFTED = mask("....", "####", "....", "....")
CORNER = mask(".###", ".###", "....", "....")


@pytest.mark.parametrize(
    ("truth", "prediction", "expected"),
    [
        (TOP, CORNER, [12 / 14, 6 / 8, 6 / 8, 8 / 8, 14 / 16]),
        (CORNER, TOP, [12 / 14, 6 / 8, 6 / 6, 8 / 10, 14 / 16]),
        (TOP, SHIFTED, [8 / 12, 4 / 8, 4 / 8, 8 / 8, 12 / 16]),
        (
            mask("####", "####", "....", "...."),
            mask("..##", "####", "##..", "...."),
            [12 / 16, 6 / 10, 6 / 8, 6 / 8, 12 / 16],
        ),
        (TOP, ~TOP, [0, 0, 0, 0, 0]),
        (TOP, TOP, [1, 1, 1, 1, 1]),
        (EMPTY, EMPTY, [1, 1, 1, 1, 1]),
        (EMPTY, SHIFTED, [0, 0, 1, 12 / 16, 12 / 16]),
        (SHIFTED, EMPTY, [0, 0, 0, 1, 12 / 16]),
        (FULL, TOP, [16 / 24, 8 / 16, 8 / 16, 1, 8 / 16]),
    ],
)
def test_scores_equal_fractions_counted_by_hand(
    truth: np.ndarray, prediction: np.ndarray, expected: list[float]
) -> None:
    scores = segmentation_scores(truth, prediction)
    assert list(scores.columns) == [*SCORES, *BOUNDARY_SCORES]
    assert scores[SCORES].to_numpy().tolist() == [expected]


@given(hnp.arrays(bool, (2, 3, 4, 5)))
def test_scores_equal_scikit_learn_on_every_image(masks: np.ndarray) -> None:
    truth, prediction = masks
    oracle = [
        [
            f1_score(t, p, zero_division=1.0),
            jaccard_score(t, p, zero_division=0.0) if (t | p).any() else 1.0,
            recall_score(t, p, zero_division=1.0),
            recall_score(~t, ~p, zero_division=1.0),
            accuracy_score(t, p),
        ]
        for t, p in zip(truth.reshape(3, -1), prediction.reshape(3, -1), strict=True)
    ]
    np.testing.assert_allclose(segmentation_scores(truth, prediction)[SCORES], oracle, rtol=0, atol=1e-12)


def test_a_batch_may_be_empty() -> None:
    assert segmentation_scores(EMPTY[:0], EMPTY[:0]).shape == (0, 7)


def test_masks_must_be_bool_and_of_one_shape() -> None:
    with pytest.raises(ValueError, match="masks are float32 and bool; threshold them to bool first"):
        segmentation_scores(EMPTY.astype(np.float32), EMPTY)
    with pytest.raises(ValueError, match=r"masks are \(1, 4, 4\) and \(1, 4, 2\); both must be one"):
        segmentation_scores(EMPTY, EMPTY[:, :, ::2])
    with pytest.raises(ValueError, match="both must be one"):
        segmentation_scores(EMPTY[0], EMPTY[0])


def scores_of_four() -> pd.DataFrame:
    keys = {"image_id": ["a", "b", "c", "d"], "group": ["A", "A", "B", "C"], "fold": ["test", "test", "test", "0"]}
    return pd.DataFrame(
        keys | {score: [0.5, 1.0, 0.75, 0.25] for score in SCORES} | {"jaccard": [0.64, 0.65, 0.9, 0.2]}
    )


def test_means_are_over_images_and_the_thresholded_jaccard_counts_low_ones_zero() -> None:
    summary = summarise_segmentation(scores_of_four(), resamples=50)
    test = summary[summary["fold_part"] == "test"].set_index("metric")
    validation = summary[summary["fold_part"] == "validation"].set_index("metric")
    assert test.index.tolist() == [*SCORES, "thresholded_jaccard"]
    assert test["value"]["dice"] == (0.5 + 1.0 + 0.75) / 3
    assert test["value"]["jaccard"] == pytest.approx((0.64 + 0.65 + 0.9) / 3, abs=1e-15)
    assert test["value"]["thresholded_jaccard"] == pytest.approx((0.65 + 0.9) / 3, abs=1e-15)
    assert test[["images", "groups"]].to_numpy().tolist() == [[3, 2]] * 6
    assert validation["value"]["jaccard"] == 0.2
    assert validation["value"]["thresholded_jaccard"] == 0


def test_scores_of_borders_are_averaged_where_a_table_has_them() -> None:
    summary = summarise_segmentation(scores_of_four().assign(hausdorff95=[0.0, 0.1, 0.5, 1.0]), resamples=50)
    test = summary[summary["fold_part"] == "test"].set_index("metric")
    assert test["value"]["hausdorff95"] == pytest.approx(0.2, abs=1e-15)
    assert "boundary_f1" not in test.index


def test_lesions_are_resampled_as_a_whole() -> None:
    # Lesions A (two images) and B (one): a resample is AA, AB or BB, so its mean is that of A, of all three or of B.
    summary = summarise_segmentation(scores_of_four(), resamples=50)
    test = summary[summary["fold_part"] == "test"].set_index("metric")[["low", "high"]].T
    assert test["dice"].tolist() == [0.75, 0.75]
    assert test["jaccard"].tolist() == pytest.approx([0.645, 0.9], abs=1e-15)
    assert test["thresholded_jaccard"].tolist() == pytest.approx([0.325, 0.9], abs=1e-15)


def test_a_file_and_its_table_give_the_same_metrics(tmp_path: Path) -> None:
    write_scores(scores_of_four(), tmp_path / "scores.csv")
    from_file = evaluate_segmentation(tmp_path / "scores.csv", resamples=50, seed=3)
    pd.testing.assert_frame_equal(from_file, summarise_segmentation(scores_of_four(), resamples=50, seed=3))


def test_a_wrong_table_is_refused() -> None:
    with pytest.raises(DataError, match="column dice is missing"):
        summarise_segmentation(scores_of_four().drop(columns="dice"))
