"""Means, paired differences and the AUC of the map's asymmetry, counted by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from selcn.errors import DataError
from selcn.evaluation.intervals import draw_groups
from selcn.evaluation.saliency_quality import check_quality_scores, saliency_quality_table


def scores() -> pd.DataFrame:
    """Four test images of three lesions by two kinds of map; the second image's network map is flat."""
    keys = pd.DataFrame(
        {"image_id": list("abcd"), "group": ["u", "v", "w", "w"], "fold": "test", "network": "symmetry"}
    )
    keys["symmetry"] = ["symmetric", "asymmetric", "symmetric", "one-axis"]
    network: dict[str, Any] = {
        "road": [0.1, np.nan, 0.3, 0.2],
        "map_asymmetry": [0.1, 0.4, 0.3, 0.2],
        "max_sensitivity": [1, 1, 2, 4],
    }
    measured: dict[str, Any] = {
        "road": [0.0, 0.5, 0.1, np.nan],
        "map_asymmetry": [0.1, 0.5, 0.2, 0.6],
        "max_sensitivity": np.nan,
    }
    return pd.concat([keys.assign(saliency="network", **network), keys.assign(saliency="measured", **measured)])


def test_means_leave_out_what_is_undefined_and_differences_are_paired() -> None:
    table = saliency_quality_table(scores(), resamples=50).set_index(["saliency", "metric"])
    values = table["value"].to_dict()
    assert values["network", "road"] == pytest.approx(0.2)
    assert values["measured", "road"] == pytest.approx(0.2)
    assert values["network - measured", "road"] == pytest.approx((0.1 + 0.2) / 2)  # of images a and c
    assert list(table.loc[("network - measured", "road"), ["images", "groups"]]) == [2, 2]
    assert values["network", "max_sensitivity"] == 2
    assert ("measured", "max_sensitivity") not in values, "undefined is left out, not zero"
    # Asymmetric b against symmetric a, c and d: 0.4 is above all of them, the measured 0.5 above two of three.
    assert values["network", "asymmetry_auc"] == 1
    assert values["measured", "asymmetry_auc"] == pytest.approx(2 / 3)
    assert values["network - measured", "asymmetry_auc"] == pytest.approx(1 / 3)


def test_a_network_whose_maps_are_all_flat_has_no_score_but_that() -> None:
    flat = scores().assign(flat=1.0)
    flat.loc[flat["saliency"] == "network", ["road", "map_asymmetry", "max_sensitivity"]] = np.nan
    table = saliency_quality_table(flat, resamples=5)
    assert table.loc[table["saliency"] == "network", "metric"].tolist() == ["flat"]
    assert set(table.loc[table["saliency"] == "measured", "metric"]) == {
        "flat",
        "road",
        "map_asymmetry",
        "asymmetry_auc",
    }
    assert not table["metric"].isin(["max_sensitivity"]).any()


def test_intervals_resample_lesions() -> None:
    table = saliency_quality_table(scores(), resamples=40, seed=3).set_index(["saliency", "metric"])
    drawn = draw_groups(3, 40, np.random.default_rng(3))[:, [0, 1, 2, 2]].astype(float)
    values = np.array([1, 1, 2, 4])
    means = (drawn @ values) / drawn.sum(1)
    found = list(table.loc[("network", "max_sensitivity"), ["low", "high"]])
    assert found == pytest.approx(np.percentile(means, [2.5, 97.5]).tolist())


def test_a_table_of_something_else_is_one_line() -> None:
    with pytest.raises(DataError, match="column network is missing; write it with `selcn saliency-quality`"):
        check_quality_scores(scores().drop(columns="network"))
    rivals = scores()[scores()["saliency"] == "measured"]
    with pytest.raises(DataError, match="no row of symmetry has the saliency network"):
        check_quality_scores(rivals)
