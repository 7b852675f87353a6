"""Trackers show the names of the report, each without a connection."""

import time
from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from selcn.errors import ConfigError
from selcn.evaluation.registry import metric_spec
from selcn.runs.metrics import tracked_metrics
from selcn.runs.run import open_run
from selcn.training import tracking


def shown_by_tensorboard(folder: Path) -> dict[str, float]:
    """The last value of each scalar."""
    events = EventAccumulator(str(folder)).Reload()
    return {tag: events.Scalars(tag)[-1].value for tag in events.Tags()["scalars"]}


def test_trackers_that_are_unknown_or_not_installed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="--track neptune: unknown; known are wandb, mlflow"):
        tracking.trackers(["neptune"], tmp_path)
    monkeypatch.setattr("selcn.errors.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"--track wandb needs an extra \(wandb is missing\).*'selcn\[wandb\]'"):
        tracking.trackers(["wandb"], tmp_path)


def test_none_is_asked_for_unless_named(tmp_path: Path) -> None:
    assert tracking.trackers([], tmp_path) == []


def test_tensorboard_has_the_metrics_of_the_report_under_their_names(tiny_run: Path) -> None:
    run = open_run(tiny_run)
    reported = tracked_metrics(run, tiny_run / "evaluation")
    table = pd.read_csv(tiny_run / "evaluation" / "diagnosis.csv").set_index(["fold_part", "metric"])["value"]
    assert reported["diagnosis/test/balanced_accuracy"] == table["test", "balanced_accuracy"]
    assert shown_by_tensorboard(tiny_run / "evaluation" / "tensorboard") == pytest.approx(reported)
    for name in run.graph.nodes:
        training = tiny_run / "networks" / name / "fold-0"
        tags = shown_by_tensorboard(training / "tensorboard")
        logged = set(pd.read_csv(training / "metrics.csv").columns) - {"epoch", "step"}
        assert tags.keys() - {"epoch"} == logged
        terms = {tag.removeprefix("train_") for tag in tags if tag.startswith("train_")}
        for metric in (tag.removeprefix("val_") for tag in tags if tag.startswith("val_")):
            assert metric in terms or metric_spec(metric).direction


@pytest.mark.filterwarnings("ignore")  # of MLflow and Weights & Biases
def test_mlflow_and_wandb_show_these_names_without_a_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("WANDB_SILENT", "true")
    values = {"diagnosis/test/balanced_accuracy": 0.75, "lesion/validation/dice": 0.5}
    tracking.track_metrics(values, ["mlflow", "wandb"], tmp_path / "runs" / "evaluation")

    from mlflow import MlflowClient

    client = MlflowClient((tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("selcn")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.metrics == values
    assert run.info.status == "FINISHED"
    (offline,) = (tmp_path / "runs" / "evaluation" / "wandb").glob("offline-run-*/run-*.wandb")
    for _ in range(600):  # written by a process of its own
        if all(name.encode() in offline.read_bytes() for name in values):
            break
        time.sleep(0.1)
    else:
        pytest.fail(f"{offline} lacks a metric")
