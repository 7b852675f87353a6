"""What is read of a run's evaluation is what its files hold; what was not measured is empty."""

from pathlib import Path

import pandas as pd

from selcn.evaluation import Estimate
from selcn.report.measurements import (
    Measurement,
    comparisons,
    fold_metrics,
    network_metrics,
    saliency_metrics,
    saliency_scores,
)
from selcn.report.saliency_tables import network_saliency_scores, saliency_tables
from selcn.runs.run import open_run
from selcn.runs.subgroups import lesion_shares


def test_measurements_are_those_of_the_file(tiny_run: Path) -> None:
    run = open_run(tiny_run)
    row = pd.read_csv(run.folder.metrics("lesion")).query("fold_part == 'test' and metric == 'dice'").iloc[0]
    measured = network_metrics(run, "lesion")
    assert list(measured) == ["test", "validation"]
    expected = Measurement(Estimate(row["value"], row["low"], row["high"]), row["images"], row["groups"])
    assert measured["test"]["dice"] == expected
    assert list(comparisons(run)) == [("diagnosis-standalone", "diagnosis")]
    assert list(fold_metrics(run)["name"].unique()) == ["symmetry", "diagnosis", "diagnosis-standalone"]


def test_lesion_shares_are_those_of_the_true_masks(tiny_run: Path) -> None:
    run = open_run(tiny_run)
    shares = lesion_shares(run)
    assert sorted(shares.index) == sorted(run.table["image_id"].iloc[run.test_rows])
    for row in run.test_rows[:5]:
        assert abs(shares[run.table["image_id"].iloc[row]] - run.store.masks[row].mean()) < 1e-4


def test_the_networks_own_saliency_is_told_from_its_rivals(tiny_run: Path) -> None:
    run = open_run(tiny_run)
    scores = network_saliency_scores(run, "symmetry")
    assert sorted(scores["image_id"]) == sorted(run.table["image_id"].iloc[run.test_rows])
    tables = saliency_tables(run)
    assert len(tables) == 4  # symmetry and diagnosis, each against lesion and asymmetry
    energy = tables[0].metrics.rows["network"]["energy"].estimate.value
    assert abs(energy - scores["energy"].mean()) < 1e-9
    assert set(tables[0].more) == {"random weights", "centred Gaussian", "lesion mask", "chance"}


def test_what_was_not_measured_is_empty(bare_run: Path) -> None:
    run = open_run(bare_run)
    assert network_metrics(run, "symmetry") == {}
    assert list(network_metrics(run, "lesion")) == ["validation"]
    assert saliency_metrics(run) is None
    assert saliency_scores(run, "diagnosis") is None
    assert network_saliency_scores(run, "diagnosis").empty
    assert lesion_shares(run).empty
    assert saliency_tables(run) == []


def test_a_run_without_a_classifier_has_neither_comparisons_nor_metrics_of_folds(lesion_run: Path) -> None:
    run = open_run(lesion_run)
    assert comparisons(run) == {}
    assert fold_metrics(run).empty
    assert set(network_metrics(run, "lesion")["validation"]) >= {"dice", "jaccard"}
