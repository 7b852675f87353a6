"""Training of one network with Lightning: resumable, seeded."""

import logging
import math
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.profilers import Profiler
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader

from selcn.config import ClassificationSection
from selcn.config.frozen import LBFGS
from selcn.data.datasets import Batch, Sources
from selcn.errors import ConfigError, DivergedError, RunError
from selcn.io.files import write_text
from selcn.tasks.frozen import FrozenTask
from selcn.tasks.task import Task
from selcn.training.compute import AUTO, Compute, rank
from selcn.training.loading import build_loader
from selcn.training.module import TrainingModule
from selcn.training.precision import faster_on_cpu
from selcn.training.probe import OnEpoch, fit_probe
from selcn.training.tracking import finish, log_epochs, trackers

WEIGHTS = "network.safetensors"
LOGS = "logs"
CHECKPOINTS = "checkpoints"
KEPT: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}


def fit(
    task: Task,
    sources: Sources,
    train: np.ndarray,
    validation: np.ndarray,
    out: Path,
    *,
    seed: int,
    compute: Compute | None = None,
    track: Sequence[str] = (),
    profiler: Profiler | None = None,
    on_epoch: OnEpoch | None = None,
) -> dict[str, Any]:
    """Train a network and write `network.safetensors` and the logs to ``out``; resumable from its last epoch.

    Args:
        task: what to train.
        sources: the arrays that it is trained on.
        train: int (n,) rows to train on.
        validation: int (m,) rows to validate on, for early stopping and to choose the best epoch.
        out: folder for weights and logs.
        seed: of weights, order, augmentation and dropout.
        compute: devices to train on; None for one process.
        track: names of trackers to log to besides CSV and TensorBoard.
        profiler: notified of the trainer's actions.
        on_epoch: called after each epoch with its number from 1, losses and score.

    Returns:
        Name of the monitored value (`monitor`), its best value, the number of epochs, and Lightning's `precision`.

    Raises:
        ConfigError: the network is measured, see `selcn.training.measured`.
        RunError: too few images for one batch, or no epoch was finished.
        DivergedError: the loss became NaN or infinite.
        KeyboardInterrupt: Ctrl-C; the checkpoint stays.
    """
    compute = compute or Compute()
    if isinstance(task, FrozenTask) and task.section.optimiser == LBFGS:
        return _solve(task, sources, train, validation, out, track, on_epoch)
    L.seed_everything(seed, verbose=False)
    module, best = _module(task, seed, rank(), compute.world), _best_checkpoint(task, out)
    loaders = _loaders(task, sources, train, validation, seed, compute)
    precision = _precision(module, loaders[0], compute, out)
    with _quiet(), suppress(SystemExit):  # of Lightning on Ctrl-C; the caller gets KeyboardInterrupt instead
        trainer = _trainer(task, best, out, compute, precision, track, profiler, on_epoch)
        trainer.fit(module, *loaders, ckpt_path=_last(out), weights_only=True)
    _refuse_interrupted(trainer)
    trained = {"best": _best(best), "epochs": trainer.current_epoch, "precision": precision}
    _keep(module, best, out)
    return {"monitor": best.monitor, **trained}


def _solve(
    task: FrozenTask,
    sources: Sources,
    train: np.ndarray,
    validation: np.ndarray,
    out: Path,
    track: Sequence[str],
    on_epoch: OnEpoch | None,
) -> dict[str, Any]:
    """Fit a linear probe and write the files of a training; each process fits the same, the first writes."""
    probe = fit_probe(task, sources, train, validation, on_epoch)
    if rank() == 0:
        table = pd.DataFrame(probe.epochs).rename_axis("epoch")
        write_text(out / "metrics.csv", table.to_csv())
        log_epochs(probe.epochs, track, out)
        save_file(probe.weights, out / WEIGHTS)
    return {"monitor": task.monitored[0], "best": probe.best, "epochs": len(probe.epochs), "precision": "32-true"}


def _loaders(
    task: Task, sources: Sources, train: np.ndarray, validation: np.ndarray, seed: int, compute: Compute
) -> "tuple[DataLoader[Batch], DataLoader[Batch]]":
    """This process's batches of both."""
    pin = compute.device.type == "cuda"
    loader = partial(build_loader, task, sources, seed=seed, rank=rank(), world=compute.world, pin=pin)
    return loader(train, shuffle=True), loader(validation, shuffle=False)


def _precision(module: TrainingModule, loader: "DataLoader[Batch]", compute: Compute, out: Path) -> str:
    """Lightning's name of the precision; on one CPU that of the first attempt, so that resuming keeps it."""
    wanted: str = module.task.section.precision
    if wanted == AUTO and compute.world == 1 and compute.device.type == "cpu":
        chosen = out / CHECKPOINTS / "precision"
        if not chosen.exists():
            chosen.parent.mkdir(parents=True, exist_ok=True)
            write_text(chosen, faster_on_cpu(module, loader))
        wanted = chosen.read_text(encoding="utf-8")
    return compute.precision(wanted)


def _last(out: Path) -> Path | None:
    path = out / CHECKPOINTS / "last.ckpt"
    return path if path.exists() else None


def _refuse_interrupted(trainer: L.Trainer) -> None:
    finish(trainer.loggers)
    if trainer.interrupted:
        raise KeyboardInterrupt


def _module(task: Task, seed: int, this: int, world: int) -> TrainingModule:
    if isinstance(task.section, ClassificationSection) and task.section.measured:
        raise ConfigError(f"network {task.name}: is measured, not trained in epochs; take a network with a backbone")
    module = TrainingModule(task, seed, rank=this, world=world)
    module.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if task.section.compile:
        module.network.compile()
    return module


def _keep(module: TrainingModule, best: ModelCheckpoint, out: Path) -> None:
    """Write the best weights and the joined logs of a finished training; of several processes the first does."""
    if rank() > 0:
        return
    module.load_state_dict(torch.load(best.best_model_path, weights_only=True, map_location="cpu")["state_dict"])
    save_file(module.task.weights(module.network), out / WEIGHTS)
    _join_logs(out)
    shutil.rmtree(out / CHECKPOINTS)


def _best(best: ModelCheckpoint) -> float:
    if best.best_model_score is None:
        raise RunError(f"{best.dirpath}: no epoch was finished; set epochs higher")
    return float(best.best_model_score)


def _best_checkpoint(task: Task, out: Path) -> ModelCheckpoint:
    monitor, mode = task.monitored
    return ModelCheckpoint(out / CHECKPOINTS, "best", monitor=monitor, mode=mode, **KEPT)


def _trainer(
    task: Task,
    best: ModelCheckpoint,
    out: Path,
    compute: Compute,
    precision: str,
    track: Sequence[str],
    profiler: Profiler | None,
    on_epoch: OnEpoch | None,
) -> L.Trainer:
    section = task.section
    stopping = EarlyStopping(str(best.monitor), patience=section.patience, mode=best.mode, check_finite=False)
    # After `best`, whose state it saves.
    last = ModelCheckpoint(out / CHECKPOINTS, "last", **KEPT)
    averaging = [WeightAveraging(avg_fn=partial(_averaged, section.ema))] if section.ema else []
    return L.Trainer(
        accelerator=compute.accelerator,
        devices=compute.devices,
        num_nodes=compute.nodes,
        strategy="ddp" if compute.world > 1 else "auto",
        use_distributed_sampler=False,
        precision=precision,  # type: ignore[arg-type]
        accumulate_grad_batches=section.accumulate,
        gradient_clip_val=section.clip,
        max_epochs=section.epochs,
        callbacks=[stopping, *averaging, best, last, _Reporter(on_epoch, out, task.score)],
        logger=[_csv_logger(out), TensorBoardLogger(out, "", "tensorboard"), *trackers(track, out)],
        profiler=profiler,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        default_root_dir=out,
    )


def _averaged(decay: float, average: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
    """Exponential moving average whose decay rises with the updates, so that it forgets the first epochs quickly."""
    bounded = torch.clamp((1 + torch.as_tensor(updates)) / (10 + torch.as_tensor(updates)), max=decay).to(average)
    return bounded * average + (1 - bounded) * current


def _csv_logger(out: Path) -> CSVLogger:
    # Lightning's logger deletes the file of an earlier attempt, so each attempt has its own.
    return CSVLogger(out, LOGS, f"{len(list((out / LOGS).glob('*'))):03d}")


def _join_logs(out: Path) -> None:
    attempts = [pd.read_csv(path) for path in sorted((out / LOGS).glob("*/metrics.csv"))]
    if not attempts:  # killed right after an earlier attempt had joined them
        return
    # One row an epoch: Lightning writes training and validation apart, and a killed attempt's last epoch is repeated.
    pd.concat(attempts).groupby("epoch", as_index=False).last().to_csv(out / "metrics.csv", index=False)
    shutil.rmtree(out / LOGS)


class _Reporter(Callback):
    """Reports the logged values after each epoch, and ends a training that diverged.

    It runs before the checkpoint callbacks, so that the last checkpoint is of an epoch with finite values.
    """

    def __init__(self, on_epoch: OnEpoch | None, out: Path, score: str) -> None:
        self.on_epoch, self.out = on_epoch, out
        # Others may be NaN without harm, such as the kappa of a validation in which all is of one class.
        self.watched = ("train_loss", "val_loss", f"val_{score}")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        values = {name: float(value) for name, value in trainer.callback_metrics.items() if name in self.watched}
        lost = [name for name, value in values.items() if not math.isfinite(value)]
        if lost:
            raise DivergedError(
                f"{self.out}: training diverged ({lost[0]} is NaN or infinite in epoch {trainer.current_epoch + 1}); "
                "the checkpoint of the epoch before is kept; lower lr and choose another --out"
            )
        if self.on_epoch:
            self.on_epoch(trainer.current_epoch + 1, values)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's advice on workers (batches are gathers from memory-mapped arrays) and on GPUs."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists")  # it does when resuming
            warnings.filterwarnings("ignore", message="The `srun` command is available")
            warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # Lightning's own, on torch 2.13
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
