from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from selcn.errors import DataError
from selcn.evaluation import Predictions, evaluate_classification
from selcn.evaluation.subgroups import (
    MIN_SUBGROUP_IMAGES,
    banded,
    score_subgroup_table,
    subgroup_table,
    worst_gap,
)
from selcn.labels import SYMMETRY_BINARY, LabelSet

DrawPredictions = Callable[..., Predictions]


def facts(predictions: Predictions) -> pd.DataFrame:
    images = predictions.table["image_id"]
    ages = np.where(np.arange(len(images)) % 5 == 0, "", (np.arange(len(images)) * 7 % 90).astype(str))
    sexes = np.where(np.arange(len(images)) % 2 == 0, "female", "male")
    return pd.DataFrame({"image_id": images, "age": ages, "sex": sexes})


def test_each_subgroup_is_scored_alone_and_the_worst_is_named(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions(images=300, lesions=200)
    known = facts(predictions)
    table = subgroup_table(predictions, known, ["sex", "age"], resamples=30)
    test = predictions.table[predictions.table["fold"] == "test"]
    women = test[test["image_id"].isin(known.loc[known["sex"] == "female", "image_id"])]
    expected = balanced_accuracy_score(women["truth"], women[predictions.classes].idxmax(axis=1))
    row = table[table["subgroup"] == "female"].iloc[0]
    assert row["value"] == pytest.approx(expected, abs=1e-12)
    assert row["images"] == len(women)
    assert table[table["of"] == "age"]["images"].sum() == len(test)
    assert {"0 to 30 years", "70 and more years", "unknown"} <= set(table["subgroup"])
    large = table[(table["images"] >= 20) & (table["subgroup"] != "unknown")]
    assert table["worst"].sum() == 1
    assert table.loc[table["worst"], "value"].item() == large["value"].min()


def test_one_lesion_has_no_interval_neither_of_its_value_nor_of_its_gap(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions(images=120, lesions=60)
    test = predictions.table[predictions.table["fold"] == "test"]
    alone = test["group"].iloc[0]
    site = np.where(predictions.table["group"] == alone, "acral", "back")
    known = pd.DataFrame({"image_id": predictions.table["image_id"], "site": site})
    rows = subgroup_table(predictions, known, ["site"], resamples=30).set_index("subgroup")
    ends = ["low", "high", "gap_low", "gap_high"]
    assert rows.loc["acral", ["value", "gap"]].notna().all()
    assert rows.loc["acral", ends].isna().all()
    assert rows.loc["back", ends].notna().all()


def test_bands_hold_their_lower_edge(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions(images=60, lesions=40)
    known = facts(predictions).assign(age="50", lesion_share="0.3", site="")
    table = subgroup_table(predictions, known, ["age", "lesion_share", "site"], resamples=10)
    assert table["subgroup"].tolist() == ["50 to 70 years", "up to 30 %", "unknown"]


def test_lesion_shares_are_cut_at_their_quartiles_and_angles_where_the_field_does() -> None:
    shares = banded(pd.Series(["0.04", "0.02", "0.08", "0.06", "", "0.1", "0.3", "0.2", "0.4"]), "lesion_share")
    assert shares.tolist()[:4] == ["up to 5.5 %"] * 2 + ["5.5 to 9 %"] * 2
    assert shares.value_counts().to_dict() == dict.fromkeys(shares.cat.categories[:-1], 2) | {"unknown": 1}
    angles = banded(pd.Series(["-40", "10", "28.5", "41", "50", "55.1", ""]), "ita")
    expected = ["dark (up to -30°)", "brown (-30° to 10°)", "intermediate (28° to 41°)", "intermediate (28° to 41°)"]
    assert angles.tolist() == [*expected, "light (41° to 55°)", "very light (over 55°)", "unknown"]
    assert angles.cat.categories[2] == "tan (10° to 28°)"


@pytest.mark.parametrize(
    ("shares", "ends"),
    [
        (["0.2", "0.2001", "0.2002", "0.2004", "0.9"], ["20.01", "20.02", "20.04"]),
        (["0.1", "0.2", "0.20001", "0.3", "0.4"], ["20", "20.001", "30"]),
        (["0.2000", "0.2001", "0.2002", "0.2003"], ["20.008", "20.015", "20.023"]),
    ],
)
def test_quartiles_that_round_alike_are_named_with_more_digits(shares: list[str], ends: list[str]) -> None:
    low, middle, high = ends
    names = [f"up to {low} %", f"{low} to {middle} %", f"{middle} to {high} %", f"over {high} %", "unknown"]
    assert banded(pd.Series(shares), "lesion_share").cat.categories.tolist() == names


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_any_lesion_shares_lie_in_bands_of_their_own_quartiles(shares: list[float]) -> None:
    bands = banded(pd.Series([repr(share) for share in shares]), "lesion_share")
    cuts = np.unique(np.quantile(100 * np.array(shares), (0.25, 0.5, 0.75)))
    below = (100 * np.array(shares)[:, None] > cuts).sum(axis=1)
    assert bands.cat.codes.tolist() == below.tolist()
    assert len(bands.cat.categories) == len(cuts) + 2


def test_gaps_are_to_all_images_of_the_same_classes() -> None:
    # 24 images of 12 lesions: of site "a" all nv, 6 of 12 right; of "b" 6 nv (all right) and 6 mel (3 right).
    truth, said = ["nv"] * 18 + ["mel"] * 6, ["nv"] * 6 + ["mel"] * 6 + ["nv"] * 6 + ["mel"] * 3 + ["nv"] * 3
    table = pd.DataFrame({"image_id": [str(n) for n in range(24)], "truth": truth, "fold": "test"})
    table["group"] = table.index // 2
    labels = LabelSet.of(["nv", "mel"])
    shares = {name: np.where(np.equal(said, name), 0.9, 0.1) for name in labels.names}
    predictions = Predictions.of(table.assign(**shares), labels=labels)
    facts = table[["image_id"]].assign(site=["a"] * 12 + ["b"] * 12, one="same")
    found = subgroup_table(predictions, facts, ["site", "one"], resamples=200)
    rows: dict[str, Any] = {row["subgroup"]: row for row in found.to_dict("records")}
    # Of nv 12 of 18 are right: 2/3; of both classes (2/3 + 1/2) / 2.
    assert (rows["a"]["value"], rows["a"]["gap"]) == pytest.approx((1 / 2, 2 / 3 - 1 / 2))
    assert (rows["b"]["value"], rows["b"]["gap"]) == pytest.approx((3 / 4, (2 / 3 + 1 / 2) / 2 - 3 / 4))
    assert [rows["same"][name] for name in ("gap", "gap_low", "gap_high")] == [0, 0, 0], "paired"
    assert rows["a"]["gap_low"] < rows["a"]["gap"] < rows["a"]["gap_high"]
    assert worst_name(found) == "same", "the sites have fewer than 20 images"
    assert worst_name(found.assign(images=20)) == "a"
    assert worst_gap(found.assign(gap=np.nan)) is None
    worse = subgroup_table(predictions, facts, ["site"], metric="nll", resamples=20).set_index("subgroup")["gap"]
    assert worse["b"] < 0 < worse["a"], "of a metric that is better where it is lower, too"


def worst_name(table: pd.DataFrame) -> str:
    worst = worst_gap(table)
    assert worst is not None
    return str(worst["subgroup"])


def test_gaps_of_masks() -> None:
    scores = pd.DataFrame({"image_id": [str(n) for n in range(8)], "group": range(8), "fold": "test"})
    scores[["dice", "jaccard", "sensitivity", "specificity", "accuracy"]] = 0.5
    scores.loc[:1, "dice"] = 0.1
    facts = scores[["image_id"]].assign(hair=["present"] * 4 + ["absent"] * 4)
    found = score_subgroup_table(scores, facts, ["hair"], resamples=20)
    assert found["subgroup"].tolist() == ["absent", "present"]
    assert found["value"].tolist() == pytest.approx([0.5, 0.3])
    assert found["gap"].tolist() == pytest.approx([-0.1, 0.1])


def test_what_the_catalog_does_not_hold_is_refused(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions()
    with pytest.raises(DataError, match="has no column site; it holds image_id, age, sex"):
        subgroup_table(predictions, facts(predictions), ["site"])
    with pytest.raises(DataError, match="are not in the catalog"):
        subgroup_table(predictions, facts(predictions).iloc[:3], ["sex"])


def two_sites(predictions: Predictions, small: int) -> pd.DataFrame:
    """All test images but a few in one site, those few in another; validation images in a third."""
    test = (predictions.table["fold"] == "test").to_numpy()
    site = np.where(test, "large", "elsewhere")
    site[np.flatnonzero(test)[:small]] = "small"
    return pd.DataFrame({"image_id": predictions.table["image_id"], "site": site})


@pytest.mark.parametrize(("metric", "worst"), [("accuracy", 0.0), ("nll", 4.0)])
@pytest.mark.parametrize("small", [MIN_SUBGROUP_IMAGES - 1, MIN_SUBGROUP_IMAGES])
def test_the_worst_subgroup_is_told_by_the_metrics_direction_and_has_enough_images(
    draw_predictions: DrawPredictions, metric: str, worst: float, small: int
) -> None:
    predictions = draw_predictions(images=150, lesions=120, labels=SYMMETRY_BINARY)
    known = two_sites(predictions, small)
    names, few = predictions.classes, (known["site"] == "small").to_numpy()
    # The few images are all wrong, at a loss of 4 nats each; the others are right.
    share = np.where(few, np.exp(-4.0), 0.75)
    by_class = [np.where(predictions.truth == number, share, 1 - share) for number in range(2)]
    changed = Predictions.of(predictions.table.assign(**dict(zip(names, by_class, strict=True))))
    table = subgroup_table(changed, known, ["site"], metric=metric, resamples=10).set_index("subgroup")
    assert table["images"]["small"] == small
    assert table["value"]["small"] == pytest.approx(worst)
    assert table.index[table["worst"]].tolist() == ["small" if small >= MIN_SUBGROUP_IMAGES else "large"]


@pytest.mark.parametrize("metric", ["accuracy", "nll"])
def test_images_of_which_nothing_is_known_are_never_the_worst(draw_predictions: DrawPredictions, metric: str) -> None:
    predictions = draw_predictions(images=150, lesions=120, labels=SYMMETRY_BINARY)
    unknown = np.flatnonzero(predictions.table["fold"] == "test")[:MIN_SUBGROUP_IMAGES]
    site = pd.Series("arm", index=predictions.table.index)
    site.iloc[unknown] = ""
    known = pd.DataFrame({"image_id": predictions.table["image_id"], "site": site})
    wrong = np.isin(np.arange(len(site)), unknown)
    of_class = [np.where((predictions.truth == number) ^ wrong, 0.9, 0.1) for number in range(2)]
    changed = Predictions.of(predictions.table.assign(**dict(zip(predictions.classes, of_class, strict=True))))
    table = subgroup_table(changed, known, ["site"], metric=metric, resamples=10)
    by_name = table.set_index("subgroup")
    assert by_name["images"]["unknown"] == MIN_SUBGROUP_IMAGES
    assert by_name["gap"]["unknown"] > by_name["gap"]["arm"]
    assert table.loc[table["worst"], "subgroup"].tolist() == ["arm"] == [worst_name(table)]
    nobody = subgroup_table(changed, known.assign(site=""), ["site"], metric=metric, resamples=10)
    assert not nobody["worst"].any()
    assert worst_gap(nobody) is None


def test_intervals_classes_and_validation_of_a_subgroup(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions(images=120, lesions=80)
    validation = predictions.table[predictions.table["fold"] != "test"].reset_index(drop=True)
    known = facts(predictions)
    chosen = validation[validation["image_id"].isin(known.loc[known["sex"] == "male", "image_id"])]
    men = Predictions.of(chosen.reset_index(drop=True))
    table = subgroup_table(predictions, known, ["sex"], metric="macro_auc", part="validation", resamples=40, seed=3)
    row = table[table["subgroup"] == "male"].iloc[0]
    expected = evaluate_classification(men, resamples=40, seed=3).set_index("metric").loc["macro_auc"]
    for column in ("value", "low", "high", "images", "groups"):
        assert row[column] == expected[column], column
    kinds = known.assign(kind=np.where(predictions.table["truth"].isin(["nv", "df"]), "two", "others"))
    table = subgroup_table(predictions, kinds, ["kind"], resamples=10).set_index("subgroup")
    assert table["classes"].to_dict() == {"two": 2, "others": 5}
    with pytest.raises(DataError, match="no test rows in the predictions; ask for validation"):
        subgroup_table(Predictions.of(validation), known, ["sex"], part="test")
