"""What is read of a run's training, against files written by hand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from selcn.config import RunConfig
from selcn.runs.folder import MANIFEST, RunFolder
from selcn.runs.run import Run, open_run

HEAD = "epoch,step,train_loss,val_jaccard,val_loss"


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    return replace(open_run(tiny_run), folder=RunFolder(tmp_path))


def write_training(run: Run, fold: int, monitor: str, *rows: str) -> None:
    folder = run.folder.training("lesion", fold)
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text("\n".join([HEAD, *rows]), encoding="utf-8")
    (folder / MANIFEST).write_text(json.dumps({"monitor": monitor, "seconds": 1}), encoding="utf-8")


def test_curves_are_those_of_the_files_and_mark_the_epoch_that_was_kept(run: Run) -> None:
    write_training(run, 0, "val_loss", "0,1,1.0,0.1,0.9", "1,2,0.6,0.5,0.5", "2,3,0.8,0.3,0.7")
    # The first of equals is kept, and the higher score is the better one.
    write_training(run, 1, "val_jaccard", "0,1,,0.2,0.1", "1,2,,0.6,0.5", "2,3,,0.6,0.4")
    first, second = run.curves("lesion")
    assert list(first.epochs.index) == [1, 2, 3]
    assert first.epochs["val_loss"].to_list() == [0.9, 0.5, 0.7]
    assert first.epochs["train_loss"].to_list() == [1.0, 0.6, 0.8]
    assert (first.score, first.monitor, first.best_epoch) == ("val_jaccard", "val_loss", 2)
    assert (second.fold, second.monitor, second.best_epoch) == (1, "val_jaccard", 2)


def test_scores_are_none_without_a_file_or_a_segmentation_network(run: Run) -> None:
    assert run.scores() is None
    tree = run.config.model_dump(mode="json")
    networks = {"symmetry": tree["networks"]["symmetry"]}
    config = RunConfig.model_validate({**tree, "networks": networks, "compare": {}})
    assert replace(run, config=config).scores() is None
