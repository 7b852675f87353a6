"""A run's folder opened: rows, labels, weights, curves, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selcn.config import RunConfig, changed_config
from selcn.errors import ConfigError, DataError, RunError
from selcn.runs.folder import with_present_classes
from selcn.runs.run import Run, open_run
from selcn.tasks.classification import ClassificationTask


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return open_run(tiny_run)


def task_of(run: Run, network: str, fold: int, **keys: object) -> ClassificationTask:
    """How a network would be trained with other values of its section."""
    section = run.config.networks[network].model_copy(update=keys)
    config = changed_config(run.config, networks={**run.config.networks, network: section})
    task = replace(run, config=config).task(network, fold)
    assert isinstance(task, ClassificationTask)
    return task


def test_rows_are_dealt_as_the_split_says(run: Run) -> None:
    subset = run.table["image_id"].map(run.split.part).to_numpy()
    assert [rows.tolist() for rows in run.fold_rows] == [np.flatnonzero(subset == fold).tolist() for fold in "01"]
    assert run.test_rows.tolist() == np.flatnonzero(subset == "test").tolist()
    assert [run.training_rows(fold).tolist() for fold in (0, 1)] == [
        run.fold_rows[1].tolist(),
        run.fold_rows[0].tolist(),
    ]


def test_class_weights_are_of_the_training_rows_alone(run: Run) -> None:
    for fold in (0, 1):
        counts = run.table["diagnosis"].iloc[run.training_rows(fold)].value_counts()
        expected = [counts.sum() / (7 * counts[name]) for name in run.labels("diagnosis").names]
        weight = task_of(run, "diagnosis", fold).weight
        assert weight is not None
        assert weight.tolist() == pytest.approx(expected)
        adjusted = task_of(run, "diagnosis", fold, weighted=False, adjusted=True)
        assert adjusted.weight is None
        assert adjusted.prior is not None
        shares = [counts[name] / counts.sum() for name in run.labels("diagnosis").names]
        assert adjusted.prior.tolist() == pytest.approx(shares)
    assert task_of(run, "diagnosis", 0, weighted=False).weight is None
    assert task_of(run, "symmetry", 0).weight is None


def test_a_class_must_be_there_where_it_is_weighted_or_its_saliency_is_read(run: Run) -> None:
    rows = run.training_rows(0)
    table = run.table.copy()
    table.loc[rows, "symmetry"] = "asymmetric"
    table.loc[rows, "diagnosis"] = "nv"
    poor = replace(run, table=table)
    with pytest.raises(DataError, match="class symmetric has no training image in this fold"):
        poor.task("symmetry", 0)
    with pytest.raises(DataError, match="class mel has no training image in this fold"):
        poor.task("diagnosis", 0)
    assert task_of(poor, "diagnosis", 0, weighted=False).weight is None
    assert poor.task("symmetry", 1).name == "symmetry"


def test_words_that_mean_no_class_have_no_number(run: Run) -> None:
    words = run.table["symmetry"].where(run.table.index != 3, "").to_numpy()
    numbers = replace(run, table=run.table.assign(symmetry=words)).class_numbers("symmetry")
    classes = {"asymmetric": 0, "one-axis": 1, "two-axes": 1, "": -1}
    assert numbers.tolist() == [classes[word] for word in words]


def test_curves_are_those_that_were_logged(run: Run, tiny_run: Path) -> None:
    for fold, curve in enumerate(run.curves("symmetry")):
        log = pd.read_csv(tiny_run / "networks" / "symmetry" / f"fold-{fold}" / "metrics.csv")
        assert (curve.fold, curve.score, curve.monitor) == (fold, "val_balanced_accuracy", "val_loss")
        assert curve.epochs.index.tolist() == [1, 2]
        assert curve.epochs["val_loss"].tolist() == log["val_loss"].tolist()
        assert curve.best_epoch == 1 + int(np.argmin(log["val_loss"]))
    (lesion, _) = run.curves("lesion")
    assert (lesion.score, lesion.monitor, lesion.best_epoch) == ("val_jaccard", "val_jaccard", 1)


def test_what_steps_returned_is_listed_in_their_order(run: Run) -> None:
    manifests = run.manifests()
    assert list(manifests) == ["data", "split", "store", *(step.path for step in run.plan)]
    assert manifests["data"]["images"] == 96
    assert manifests["networks/symmetry/fold-1"]["epochs"] == 2


def test_the_target_is_meant_where_no_network_is_named(run: Run, tiny_run: Path) -> None:
    assert [run.known(name) for name in (None, "lesion", "diagnosis-standalone")] == [
        "diagnosis",
        "lesion",
        "diagnosis-standalone",
    ]
    names = "lesion, symmetry, diagnosis, diagnosis-standalone"
    with pytest.raises(ConfigError, match=f"{tiny_run}: has no network best; it has {names}"):
        run.known("best")


def test_folders_that_are_no_run_or_not_far_enough_are_refused(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"not a run \(no config.yaml\); give the folder made by `selcn run`"):
        open_run(tmp_path)
    shutil.copy(tiny_run / "config.yaml", tmp_path / "config.yaml")
    for name in ("data", "split"):
        with pytest.raises(RunError, match=f"step {name} has not finished; resume with `selcn run"):
            open_run(tmp_path)
        shutil.copytree(tiny_run / name, tmp_path / name)
    unfinished = open_run(tmp_path)
    with pytest.raises(RunError, match="step store has not finished"):
        unfinished.manifests()
    with pytest.raises(RunError, match=r"fold-0/network\.safetensors: cannot be read"):
        unfinished.network("symmetry", 0)


def test_weights_of_another_network_are_refused(run: Run, tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run / "networks" / "symmetry" / "fold-0", tmp_path / "networks" / "diagnosis" / "fold-0")
    strange = replace(run, folder=replace(run.folder, path=tmp_path))
    with pytest.raises(RunError, match=r"network\.safetensors: holds another network's weights"):
        strange.network("diagnosis", 0)


def test_a_runs_environment_names_versions(run: Run, tiny_config: RunConfig) -> None:
    assert run.environment() == json.loads(run.folder.environment.read_text())
    assert run.config == tiny_config


def test_classes_that_no_image_has_are_left_out(run: Run) -> None:
    table = run.table.assign(diagnosis=["nv", "melanoma (in situ)", "UNK"] * (len(run.table) // 3))
    config = with_present_classes(run.config, table)
    assert {name: one.labels.names for name, one in config.graph.classifiers.items()} == {
        "symmetry": ["asymmetric", "symmetric"],
        "diagnosis": ["nv", "mel"],
        "diagnosis-standalone": ["nv", "mel"],
    }
    assert replace(run, config=config, table=table).class_numbers("diagnosis").tolist()[:3] == [0, 1, -1]
    one = table.assign(diagnosis="nv")
    assert with_present_classes(run.config, one) == run.config, "a network has two classes at least"
