"""Charts are whole SVGs as wide as a phone, and their texts give the numbers."""

import base64
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from selcn.evaluation import Estimate, Predictions
from selcn.report.charts import WIDTH, Chart, draw_curves, draw_intervals, draw_jaccard_histogram, draw_terms
from selcn.report.classifier_charts import draw_decision_curve
from selcn.report.embed import embed_chart
from selcn.report.measurements import Measurement, Measurements
from selcn.runs.curves import Curve


def svg(chart: Chart) -> tuple[ElementTree.Element, str]:
    """The root and every text of a chart."""
    picture = embed_chart(chart, "name")
    root = ElementTree.fromstring(base64.b64decode(picture.uri.partition(",")[2]))
    return root, " ".join("".join(root.itertext()).split())


def measured(**parts: tuple[float, float, float]) -> Measurements:
    return {part: {"kappa": Measurement(Estimate(*numbers), 9, 7)} for part, numbers in parts.items()}


def curve(fold: int, losses: list[float], best: int) -> Curve:
    epochs = pd.DataFrame(
        {"train_loss": losses, "val_loss": losses, "val_jaccard": [1 - loss for loss in losses]},
        index=pd.RangeIndex(1, len(losses) + 1, name="epoch"),
    )
    return Curve(fold, epochs, "val_jaccard", "val_loss", best)


def test_curves_name_the_folds_and_the_epoch_that_was_kept() -> None:
    chart = draw_curves("lesion", [curve(0, [0.9, 0.5, 0.7], 2), curve(1, [0.4, 0.6], 1)])
    assert chart.alt == (
        "Learning curves of lesion: fold 0 was kept at epoch 2 of 3 with val_loss 0.500; "
        "fold 1 was kept at epoch 1 of 2 with val_loss 0.400"
    )
    root, text = svg(chart)
    assert float(root.attrib["width"].removesuffix("pt")) * 4 / 3 == WIDTH
    assert all(word in text for word in ("fold 0", "fold 1", "training", "validation", "kept", "loss", "Jaccard"))
    assert chart.data["fold"].tolist() == [0, 0, 0, 1, 1]


def test_a_decision_curve_shows_both_strategies_and_the_alternative_text_gives_the_benefit() -> None:
    # Three of four are asymmetric; from 1 % on the network calls these alone, so that its net benefit is 3/4.
    truth = np.repeat(["asymmetric", "symmetric"], [3, 1])
    table = pd.DataFrame({"image_id": list("abcd"), "group": list("abcd"), "fold": "test", "truth": truth})
    share = np.where(truth == "asymmetric", 0.9, 0.005)
    predictions = Predictions.of(table.assign(asymmetric=share, symmetric=1 - share))
    chart = draw_decision_curve(predictions, "asymmetric", resamples=20)
    assert chart.data["net_benefit"].tolist() == pytest.approx([0.75] * 50)
    all_called = 0.75 - 0.25 / 9
    assert chart.alt == f"Decision curve for asymmetric: net benefit at 10 % 0.750, of calling all {all_called:.3f}"
    root, text = svg(chart)
    assert float(root.attrib["width"].removesuffix("pt")) * 4 / 3 == WIDTH
    assert all(f"{what} called asymmetric" in text for what in ("none", "all"))
    assert "recalibrated" not in text


def test_terms_and_further_metrics_have_a_panel_each_where_they_were_logged() -> None:
    usual = curve(0, [0.9, 0.5], 2)
    assert draw_terms("lesion", [usual]) is None
    more = {"train_rank_loss": [0.3, 0.2], "val_rank_loss": [0.4, 0.1], "val_dice": [0.6, 0.8]}
    chart = draw_terms("lesion", [replace(usual, epochs=usual.epochs.assign(**more))])
    assert chart is not None
    rank, dice = chart.figure.axes
    assert [np.asarray(line.get_ydata()).tolist() for line in rank.lines] == [[0.3, 0.2], [0.4, 0.1]]
    assert [np.asarray(line.get_ydata()).tolist() for line in dice.lines] == [[0.6, 0.8]]
    assert chart.alt.endswith("fold 0 ends with Rank loss 0.100; Dice 0.800")
    resumed = [replace(usual, epochs=usual.epochs.assign(**one)) for one in (more, {"val_dice": [0.7, 0.9]}, {})]
    chart = draw_terms("lesion", [replace(one, fold=fold) for fold, one in enumerate(resumed)])
    assert chart is not None
    rank, dice = chart.figure.axes
    assert [len(axes.lines) for axes in (rank, dice)] == [2, 2]
    assert np.asarray(dice.lines[1].get_ydata()).tolist() == [0.7, 0.9]
    assert list(chart.data) == ["epoch", "train_rank_loss", "val_rank_loss", "val_dice", "fold"]
    assert chart.data["val_dice"].dropna().tolist() == [0.6, 0.8, 0.7, 0.9]


def test_a_single_epoch_is_one_tick() -> None:
    axes = draw_curves("lesion", [curve(0, [0.5], 1)]).figure.axes[-1]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_intervals_are_given_for_every_subset_even_if_undefined() -> None:
    nan = float("nan")
    variants = {
        "a": measured(test=(0.5, 0.25, 0.75), validation=(0.125, 0.0, 0.5)),
        "b": measured(test=(nan, nan, nan)),
    }
    picture = draw_intervals(variants, "kappa")
    assert picture.alt == (
        "Cohen's kappa with 95 % intervals: a test 0.500 (0.250 to 0.750); a validation 0.125 (0.000 to 0.500); "
        "b test undefined (no interval)"
    )
    assert " a " in f" {svg(picture)[1]} "


@pytest.mark.parametrize("folds", [["test", "0"], ["test"], ["0"]])
def test_histogram_counts_each_subset_by_itself(folds: list[str]) -> None:
    scores = pd.DataFrame({"fold": np.repeat(folds, 4), "jaccard": np.tile([0.5, 0.65, 0.8, 0.9], len(folds))})
    picture = draw_jaccard_histogram(scores)
    for part in ("test", "validation"):
        expected = f"{part}: 4 images, median 0.725, 75 % at or above 0.65"
        assert (expected in picture.alt) == ((part == "test") == ("test" in folds) or len(folds) == 2)


def test_the_same_chart_gives_the_same_bytes() -> None:
    variants = {"a": measured(test=(0.5, 0.25, 0.75))}
    once, again = (embed_chart(draw_intervals(variants, "kappa"), "kappa") for _ in range(2))
    assert once == again


def test_a_chart_comes_with_the_table_it_was_drawn_from() -> None:
    chart = draw_intervals({"a": measured(test=(0.5, 0.25, 0.75))}, "kappa")
    (row,) = chart.data.to_dict("records")
    assert row == {"name": "a", "part": "test", "metric": "kappa", "value": 0.5, "low": 0.25, "high": 0.75}
    csv = embed_chart(chart, "kappa").csv
    assert csv is not None
    assert csv.name == "kappa.csv"
    text = base64.b64decode(csv.uri.removeprefix("data:text/csv;base64,")).decode()
    assert text == "name,part,metric,value,low,high\na,test,kappa,0.5,0.25,0.75\n"
