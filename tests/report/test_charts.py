"""Charts are whole SVGs as wide as a phone, and their texts give the figures."""

import base64
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from selcn.report.finished import Measurement, Measurements, open_run

from selcn.evaluation import Estimate
from selcn.report.charts import WIDTH, Chart, draw_curves, draw_intervals, draw_jaccard_histogram
from selcn.report.embed import embed_chart


def svg(chart: Chart) -> tuple[ElementTree.Element, str]:
    """The root and every text of a chart's picture."""
    picture = embed_chart(chart, "name")
    root = ElementTree.fromstring(base64.b64decode(picture.uri.partition(",")[2]))
    return root, " ".join("".join(root.itertext()).split())


def measured(**parts: tuple[float, float, float]) -> Measurements:
    return {part: {"kappa": Measurement(Estimate(*figures), 9, 7)} for part, figures in parts.items()}


def test_curves_name_the_folds_and_say_which_epoch_was_kept(whole_run: Path) -> None:
    picture = draw_curves("segmentation", open_run(whole_run).curves("segmentation"))
    assert picture.alt == (
        "Learning curves of segmentation: fold 0 was kept at epoch 2 of 3 with val_loss 0.500; "
        "fold 1 was kept at epoch 1 of 2 with val_loss 0.400"
    )
    root, text = svg(picture)
    assert float(root.attrib["width"].removesuffix("pt")) * 4 / 3 == WIDTH
    assert all(word in text for word in ("fold 0", "fold 1", "training", "validation", "kept", "loss", "Jaccard"))


def test_intervals_are_told_for_every_part_there_is_even_if_undefined() -> None:
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
def test_histogram_counts_each_part_by_itself(folds: list[str]) -> None:
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
