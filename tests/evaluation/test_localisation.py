"""Scores of saliency against hand-counted cases, OpenCV's dilation, and the average of shuffled maps."""

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from selcn.errors import DataError
from selcn.evaluation.localisation import (
    SIDE,
    _dilated,
    centred_gaussian,
    chance_scores,
    check_saliency_scores,
    localisation_scores,
    summarise_saliency,
    summarise_saliency_by,
)


def block(top: int, left: int, height: int, width: int) -> np.ndarray:
    """A (1, 224, 224) mask of one rectangle."""
    mask = np.zeros((1, SIDE, SIDE), dtype=bool)
    mask[0, top : top + height, left : left + width] = True
    return mask


def one(table: pd.DataFrame) -> dict[str, float]:
    """The only row of a table."""
    assert len(table) == 1
    return {str(name): float(values.iloc[0]) for name, values in table.items()}


def test_map_that_is_the_mask_counted_by_hand() -> None:
    mask = block(100, 100, 20, 30)
    scores = one(localisation_scores(mask.astype(np.float32), mask))
    # An 11x11 square twice grows it by 10 pixels on every side: 40x50 pixels, of which the map covers 20x30.
    assert scores == pytest.approx(
        {"iou": 600 / 2000, "overlap": 1, "pointing": 1, "energy": 1, "iou_auc": 600 / 2000, "flat": 0}
    )


def test_map_beside_the_mask_counted_by_hand() -> None:
    # The map marks 40 columns to the right of the mask's right edge; the dilated mask reaches 10 into it.
    mask, beside = block(100, 60, 20, 40), block(100, 100, 20, 40)
    scores = one(localisation_scores(0.9 * beside, mask))  # 0.9: it is scaled to [0, 1] again
    wide, shared = 40 * 60, 20 * 10
    assert scores["iou"] == pytest.approx(shared / (wide + 800 - shared))
    assert scores["overlap"] == pytest.approx(shared / 800)
    assert scores["pointing"] == 0
    assert scores["energy"] == 0


def test_salient_is_what_lies_above_a_half() -> None:
    # Far from each other: 1 and 0.55 on 10x10 pixels each inside the mask, 0.55 and 0.45 on as many outside it.
    mask = block(20, 20, 40, 40)
    places = [(25, 25, 1.0), (45, 45, 0.55), (150, 30, 0.55), (150, 150, 0.45)]
    saliency = np.sum([value * block(top, left, 10, 10) for top, left, value in places], axis=0)
    scores = one(localisation_scores(saliency, mask))
    assert scores["overlap"] == pytest.approx(200 / 300)
    assert scores["iou"] == pytest.approx(200 / (60 * 60 + 100))


def test_pointing_takes_any_of_several_maxima() -> None:
    # Two equal blocks of 20x40, one of them on the mask: half of the points it could name are right.
    mask, beside = block(100, 60, 20, 40), block(100, 160, 20, 40)
    assert one(localisation_scores((mask | beside).astype(float), mask))["pointing"] == pytest.approx(0.5)


def test_a_stretched_plateau_is_a_maximum_all_over() -> None:
    # A mask of 144x192 as its own map, and a place that is its left half: any point of it may be named.
    mask = np.zeros((1, 144, 192), dtype=bool)
    mask[0, 37:101, 50:114] = True
    half = mask.copy()
    half[0, :, 82:] = False
    assert one(localisation_scores(mask.astype(np.float32), half))["pointing"] == pytest.approx(0.5, abs=0.02)


def test_iou_is_averaged_over_all_thresholds() -> None:
    # 1 on the mask and 0.25 all around it: up to 0.25 everything is above the threshold, then the mask alone; and up
    # to 0 as well, since the map's least value is scaled to 0: so a third value is needed, one pixel of 0.
    mask = block(50, 50, 40, 40)
    saliency = np.where(mask, 1.0, 0.25)
    saliency[0, 0, 0] = 0
    wide = 60 * 60
    everything = wide / (SIDE**2 - 1)
    assert one(localisation_scores(saliency, mask))["iou_auc"] == pytest.approx(
        (64 * everything + 192 * 1600 / wide) / 256
    )


def test_flat_map_is_undefined_rather_than_wrong() -> None:
    scores = one(localisation_scores(np.zeros((1, 7, 7), np.float32), block(0, 0, 20, 20)))
    assert np.isnan(scores["overlap"])
    assert np.isnan(scores["energy"])
    assert (scores["iou"], scores["pointing"], scores["flat"]) == (0, 0, 1)


def test_dilation_equals_opencv_applied_twice() -> None:
    mask = np.random.default_rng(0).random((1, SIDE, SIDE)) > 0.999
    square = np.ones((11, 11), np.uint8)
    wide = cv2.dilate(mask[0].astype(np.uint8), square, iterations=2)[None] > 0
    full = np.ones((1, SIDE, SIDE))
    full[0, 0, 0] = 0  # else it is flat
    assert one(localisation_scores(full, mask))["overlap"] == pytest.approx(wide.sum() / SIDE**2, abs=1e-4)


def test_maps_are_stretched_as_opencv_does() -> None:
    saliency = np.random.default_rng(1).random((1, 13, 10))
    stretched = cv2.resize(saliency[0], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    stretched = (stretched - stretched.min()) / np.ptp(stretched)
    mask = block(30, 90, 100, 80)
    energy = (stretched * mask[0]).sum() / stretched.sum()
    assert one(localisation_scores(saliency, mask))["energy"] == pytest.approx(energy, abs=1e-6)


def test_masks_of_any_size_are_stretched_too() -> None:
    small = np.zeros((1, 28, 56), dtype=bool)
    small[0, 7:14, 14:28] = True
    large = block(56, 56, 56, 56)
    saliency = np.random.default_rng(2).random((1, 9, 9))
    assert one(localisation_scores(saliency, small)) == one(localisation_scores(saliency, large))


@settings(max_examples=20)
@given(hnp.arrays(np.float64, (1, 5, 6), elements=st.floats(0, 1, width=16)), st.integers(0, 2**32 - 1))
def test_chance_is_the_mean_of_shuffled_maps(saliency: np.ndarray, seed: int) -> None:
    mask, shuffles = block(60, 20, 90, 110), 8
    expected = one(chance_scores(saliency, mask))
    whole = np.asarray(cv2.resize(saliency[0], (SIDE, SIDE)))
    pixels = np.repeat(whole.reshape(1, -1), shuffles, axis=0)
    shuffled = np.random.default_rng(seed).permuted(pixels, axis=1).reshape(shuffles, SIDE, SIDE)
    found = localisation_scores(shuffled, np.repeat(mask, shuffles, axis=0))
    salient = ((whole - whole.min()) > 0.5 * np.ptp(whole)).sum()
    for name in ("iou", "overlap", "energy", "iou_auc"):
        if np.isnan(expected[name]):
            assert found[name].isna().all()
        elif salient > 2000 or name == "energy":  # few pixels scatter more
            # The share of 2000 pixels has a standard error of 0.01, its mean over 8 shuffles one of 0.004.
            assert found[name].mean() == pytest.approx(expected[name], abs=0.025)
    assert expected["pointing"] == (0 if expected["flat"] else pytest.approx(90 * 110 / SIDE**2))


def test_gaussian_points_at_the_middle() -> None:
    bell = centred_gaussian(5, 7)
    assert bell.argmax() == 2 * 7 + 3
    assert (bell.min(), bell.max()) == (0, 1)
    np.testing.assert_allclose(bell, bell[::-1, ::-1])


def scores_of_three() -> pd.DataFrame:
    keys = {"image_id": ["a", "b", "c"], "group": ["A", "A", "B"], "fold": "test", "head": "symmetry"}
    table = pd.DataFrame(keys).assign(against="lesion")
    network = table.assign(saliency="network", energy=[0.9, 0.6, np.nan], iou=[0.5, 0.3, 0.1])
    chance = table.assign(saliency="chance", energy=[0.2, 0.2, 0.3], iou=[0.1, 0.1, 0.1])
    return pd.concat([network, chance])


def test_summary_is_of_defined_values_with_paired_differences() -> None:
    summary = summarise_saliency(scores_of_three(), resamples=50)
    numbers = ["value", "low", "high", "images", "groups"]
    rows = {
        (row["saliency"], row["metric"]): [float(row[name]) for name in numbers] for row in summary.to_dict("records")
    }
    nan = float("nan")
    # Energy is defined for the two images of one lesion only, which has no interval.
    assert rows["network", "energy"] == pytest.approx([0.75, nan, nan, 2, 1], nan_ok=True)
    assert rows["network - chance", "energy"][0] == pytest.approx(((0.9 - 0.2) + (0.6 - 0.2)) / 2)
    # Lesions A (two images) and B (one) are drawn as wholes: the mean lies between B's and A's.
    assert rows["network", "iou"] == pytest.approx([0.3, 0.1, 0.4, 3, 2])
    assert rows["network - chance", "iou"] == pytest.approx([0.2, 0.0, 0.3, 3, 2], abs=1e-12)


def test_subgroups_are_summarised_one_by_one() -> None:
    scores = scores_of_three().assign(diagnosis=["nv", "nv", "mel"] * 2, lesion_share=["0.05", "0.3", "0.05"] * 2)
    table = summarise_saliency_by(scores, ["diagnosis", "lesion_share"], resamples=20)
    rows = table[(table["saliency"] == "network") & (table["metric"] == "iou")].set_index(["of", "subgroup"])
    assert rows["value"].to_dict() == pytest.approx(
        {
            ("diagnosis", "mel"): 0.1,
            ("diagnosis", "nv"): 0.4,
            ("lesion_share", "up to 5 %"): 0.3,
            ("lesion_share", "over 23.8 %"): 0.3,
        }
    )
    with pytest.raises(DataError, match="the scores have no column site; they hold"):
        summarise_saliency_by(scores, ["site"])


def test_faulty_score_files_are_refused_in_one_line() -> None:
    good = scores_of_three()
    with pytest.raises(DataError, match="column head is missing"):
        check_saliency_scores(good.drop(columns="head"))
    with pytest.raises(DataError, match="a doubled image_id"):
        check_saliency_scores(pd.concat([good, good.head(1)]))


def test_the_thesis_dilation_is_that_of_opencv() -> None:
    generator = np.random.default_rng(0)
    mask = (generator.random((1, SIDE, SIDE)) > 0.9995) & (np.arange(SIDE) > 5)
    wide = cv2.dilate(mask[0].astype(np.uint8), np.ones((12, 12), np.uint8), iterations=2) > 0
    scores = one(localisation_scores(np.ones((1, 7, 7)) * np.eye(7), mask, "thesis"))
    maps = np.clip(cv2.resize(np.eye(7), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), 0, 1)
    salient = maps / maps.max() > 0.5
    assert scores["iou"] == pytest.approx((salient & wide).sum() / (salient | wide).sum(), abs=1e-4)
    single = np.zeros((1, SIDE, SIDE), bool)
    single[0, 100, 100] = True
    rows, columns = np.nonzero(_dilated(single, "thesis")[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (90, 112, 90, 112)
