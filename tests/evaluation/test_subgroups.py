from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from selcn.errors import DataError
from selcn.evaluation import Predictions
from selcn.evaluation.subgroups import subgroup_table

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
    large = table[table["images"] >= 20]
    assert table["worst"].sum() == 1
    assert table.loc[table["worst"], "value"].item() == large["value"].min()


def test_bands_hold_their_lower_edge(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions(images=60, lesions=40)
    known = facts(predictions).assign(age="50", lesion_share="0.3")
    table = subgroup_table(predictions, known, ["age", "lesion_share"], resamples=10)
    assert table["subgroup"].tolist() == ["50 to 70 years", "30 and more %"]


def test_what_the_catalog_does_not_hold_is_refused(draw_predictions: DrawPredictions) -> None:
    predictions = draw_predictions()
    with pytest.raises(DataError, match="has no column site; it holds image_id, age, sex"):
        subgroup_table(predictions, facts(predictions), ["site"])
    with pytest.raises(DataError, match="are not in the catalog"):
        subgroup_table(predictions, facts(predictions).iloc[:3], ["sex"])
