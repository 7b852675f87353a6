"""What is read from a run's folder is what its files hold."""

from pathlib import Path

import pandas as pd

from selcn.evaluation import Estimate
from selcn.report.finished import Measurement, open_run, stages


def test_curves_join_the_two_rows_of_an_epoch_and_mark_the_one_that_was_kept(whole_run: Path) -> None:
    first, second = open_run(whole_run).curves("segmentation")
    assert list(first.epochs.index) == [1, 2, 3]
    assert first.epochs["val_loss"].to_list() == [0.9, 0.5, 0.7]
    assert first.epochs["train_loss"].to_list() == [1.0, 0.6, 0.7 + 0.1]
    assert (first.score, first.monitor, first.best_epoch) == ("val_jaccard", "val_loss", 2)
    assert (second.fold, second.best_epoch) == (1, 1)


def test_a_score_that_is_monitored_is_best_at_its_highest(run: Path) -> None:
    folder = run / "segmentation" / "fold-0"
    for name in ("step.json", "metrics.csv"):
        (folder / name).unlink()
    (folder / "step.json").write_text('{"monitor": "val_jaccard", "seconds": 1}', encoding="utf-8")
    lines = ["epoch,step,train_loss,val_jaccard,val_loss", "0,1,,0.2,0.1", "1,2,,0.6,0.5", "2,3,,0.6,0.4"]
    (folder / "metrics.csv").write_text("\n".join(lines), encoding="utf-8")
    assert open_run(run).curves("segmentation")[0].best_epoch == 2  # the first of equals is kept


def test_measurements_are_those_of_the_file(whole_run: Path) -> None:
    row = pd.read_csv(whole_run / "evaluation" / "segmentation.csv").iloc[0]
    measured = open_run(whole_run).measured("segmentation")
    assert list(measured) == ["test", "validation"]
    expected = Measurement(Estimate(row["value"], row["low"], row["high"]), 7, 7)
    assert measured["test"]["dice"] == expected


def test_stages_and_steps_follow_the_order_of_the_work(whole_run: Path) -> None:
    run = open_run(whole_run)
    assert stages(run.config) == [
        "segmentation",
        "symmetry/none",
        "classification/standalone-none",
        "classification/se-lcn-none-none",
    ]
    steps = list(run.manifests())
    assert steps[:6] == ["data", "split", "store", "segmentation/fold-0", "segmentation/fold-1", "masks"]
    assert steps[-5:] == ["predictions", "explained/symmetry", "explained/diagnosis", "evaluation", "bundle"]
