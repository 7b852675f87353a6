"""Trackers besides CSV and TensorBoard: Weights & Biases and MLflow, both offline by default."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from selcn.errors import ConfigError, check_extra

TRACKERS = ("wandb", "mlflow")
PROJECT = "selcn"


def trackers(names: Sequence[str], out: Path) -> list[Logger]:
    """Loggers of the named trackers.

    Neither needs a connection: Weights & Biases runs offline unless WANDB_MODE is `online` (`wandb sync` uploads), and
    MLflow writes to `mlflow.db` in the current folder unless MLFLOW_TRACKING_URI names a server.

    Args:
        names: of ``TRACKERS``.
        out: folder of the training, which also gives the tracker's run its name.

    Raises:
        ConfigError: an unknown name, or a tracker that is not installed.
    """
    return [_tracker(name, out) for name in names]


def finish(loggers: Sequence[Logger]) -> None:
    """End the trackers' runs: one process trains several networks, each of them a run of its own in a tracker.

    Args:
        loggers: of a finished or interrupted training.
    """
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


def track_metrics(metrics: Mapping[str, float], names: Sequence[str], out: Path) -> None:
    """Log the metrics of a finished evaluation to TensorBoard and to the named trackers.

    Args:
        metrics: values by name.
        names: of ``TRACKERS``.
        out: folder of the evaluation, see `trackers`.
    """
    log_epochs([metrics], names, out)


def log_epochs(epochs: Sequence[Mapping[str, float]], names: Sequence[str], out: Path) -> None:
    """Log values that were computed outside of the trainer to TensorBoard and to the named trackers.

    Args:
        epochs: values by name of each epoch in turn.
        names: of ``TRACKERS``.
        out: folder that they are of, see `trackers`.
    """
    loggers = [TensorBoardLogger(out, "", "tensorboard"), *trackers(names, out)]
    for logger in loggers:
        for step, values in enumerate(epochs):
            logger.log_metrics(dict(values), step)
        logger.finalize("success")
    finish(loggers)


def _tracker(name: str, out: Path) -> Logger:
    if name not in TRACKERS:
        raise ConfigError(f"--track {name}: unknown; known are {', '.join(TRACKERS)}")
    check_extra(name, [name], f"--track {name}")
    title = "/".join(part for part in out.parts if part != ".work")
    if name == "wandb":
        offline = os.environ.get("WANDB_MODE", "offline") != "online"
        return WandbLogger(name=title, save_dir=out, project=PROJECT, offline=offline)
    address = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    return MLFlowLogger(PROJECT, run_name=title, tracking_uri=address)
