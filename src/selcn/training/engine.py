"""The thin Lightning shell around the pure networks: one fold of one stage, resumable, seeded."""

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from safetensors.torch import save_file
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, PolynomialLR
from torch.utils.data import DataLoader, Dataset, Sampler, SequentialSampler

from selcn.data.augment import Colour, Geometry
from selcn.data.datasets import Batch
from selcn.errors import RunError
from selcn.inference import as_floats
from selcn.training.stages import Stage

POLY_POWER = 0.9
WEIGHTS = "network.safetensors"
LOGS = "logs"
CHECKPOINTS = "checkpoints"
KEPT: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
SEEDS_APART = 1_000_003  # more steps than a training has
OnEpoch = Callable[[int, Mapping[str, float]], None]


class StageModule(L.LightningModule):
    """Trains one stage's network: augmentation, loss, score and optimiser.

    All randomness of a step is drawn from the seed and the step's number, so that a resumed run goes on as an unbroken
    one would.
    """

    def __init__(self, stage: Stage, seed: int) -> None:
        super().__init__()
        self.stage, self.seed = stage, seed
        self.network = stage.network()
        self.score = stage.metric()
        self.generator = torch.Generator()

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Loss of an augmented batch; augmentation and dropout are seeded by the step."""
        step_seed = self.seed * SEEDS_APART + self.global_step
        self.generator.manual_seed(step_seed)
        torch.manual_seed(step_seed)
        loss, _logits = self.stage.loss(self.network, augment(batch, self.stage, self.generator))
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.image))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Loss and score of a batch as it is."""
        batch = batch._replace(image=as_floats(batch.image))
        loss, logits = self.stage.loss(self.network, batch)
        self.stage.update(self.score, logits, batch)
        self.log("val_loss", loss, batch_size=len(batch.image))
        self.log(f"val_{self.stage.score}", self.score, batch_size=len(batch.image))

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's own union of shapes
        """Adam, with the schedule of the configuration counted in the run's true number of steps."""
        section = self.stage.section
        optimiser = torch.optim.Adam(self.network.parameters(), lr=section.lr, weight_decay=section.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule: LRScheduler
        match section.schedule:
            case "constant":
                return optimiser
            case "poly":
                schedule = PolynomialLR(optimiser, steps, power=POLY_POWER)
            case "one-cycle":
                schedule = OneCycleLR(optimiser, section.lr, total_steps=steps, cycle_momentum=False)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def augment(batch: Batch, stage: Stage, generator: torch.Generator) -> Batch:
    """Draw one geometry for image, mask and saliency, and one colour for the image; apply them."""
    images, ranges = as_floats(batch.image), stage.section.augment
    geometry = Geometry.draw(len(images), ranges, generator)
    if batch.copy.numel():
        geometry = geometry.of_copies(batch.copy)
    colour = Colour.draw(len(images), ranges, generator)
    aspect = images.shape[3] / images.shape[2]
    saliency = geometry.apply(batch.saliency, aspect) if batch.saliency.numel() else batch.saliency
    return batch._replace(
        image=colour.apply(geometry.apply(images, aspect)),
        mask=(geometry.apply(batch.mask.float(), aspect) > 0.5).float(),
        saliency=saliency,
    )


def fit(
    stage: Stage, train: np.ndarray, validation: np.ndarray, out: Path, *, seed: int, on_epoch: OnEpoch | None = None
) -> dict[str, Any]:
    """Train one fold of a stage and leave `network.safetensors` and the logs in ``out``.

    An epoch that finished is never repeated: ``out`` holds a checkpoint until training is over.

    Args:
        stage: what to train.
        train: rows of the store to train on.
        validation: rows to validate on, for early stopping and to choose the best epoch.
        out: folder for weights and logs.
        seed: of weights, order, augmentation and dropout.
        on_epoch: called after each epoch with its number and the logged values.

    Returns:
        Best epoch, its monitored value, and epochs trained.

    Raises:
        RunError: too few images for one batch, or a loss that is no number.
        KeyboardInterrupt: Ctrl-C; the checkpoint stays.
    """
    L.seed_everything(seed, verbose=False)
    module = StageModule(stage, seed)
    module.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loaders = _loader(stage, train, seed, shuffle=True), _loader(stage, validation, seed, shuffle=False)
    best = _best_checkpoint(stage, out)
    with _quiet():
        trainer = _trainer(stage, best, out, on_epoch)
        last = out / CHECKPOINTS / "last.ckpt"
        # Lightning answers Ctrl-C by leaving the process; the caller shall hear of it instead.
        with suppress(SystemExit):
            trainer.fit(module, *loaders, ckpt_path=last if last.exists() else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    if best.best_model_score is None or not torch.isfinite(best.best_model_score):
        raise RunError(f"{out}: training diverged ({best.monitor} is no number); lower lr and choose another --out")
    module.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
    weights = {name: tensor.contiguous() for name, tensor in module.network.state_dict().items()}
    save_file(weights, out / WEIGHTS)
    _join_logs(out)
    shutil.rmtree(out / CHECKPOINTS)
    return {"monitor": best.monitor, "best": float(best.best_model_score), "epochs": trainer.current_epoch}


def _best_checkpoint(stage: Stage, out: Path) -> ModelCheckpoint:
    by_score = stage.section.monitor == "score"
    monitor, mode = (f"val_{stage.score}", "max") if by_score else ("val_loss", "min")
    return ModelCheckpoint(out / CHECKPOINTS, "best", monitor=monitor, mode=mode, **KEPT)


def _trainer(stage: Stage, best: ModelCheckpoint, out: Path, on_epoch: OnEpoch | None) -> L.Trainer:
    stopping = EarlyStopping(str(best.monitor), patience=stage.section.patience, mode=best.mode)
    # After `best`, whose state it holds.
    last = ModelCheckpoint(out / CHECKPOINTS, "last", **KEPT)
    return L.Trainer(
        max_epochs=stage.section.epochs,
        callbacks=[stopping, best, last, _Reporter(on_epoch)],
        logger=[_csv_logger(out), TensorBoardLogger(out, "", "tensorboard")],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        default_root_dir=out,
    )


def _csv_logger(out: Path) -> CSVLogger:
    # Lightning's logger deletes what an earlier attempt wrote, so each attempt has a file of its own.
    return CSVLogger(out, LOGS, f"{len(list((out / LOGS).glob('*'))):03d}")


def _join_logs(out: Path) -> None:
    attempts = [pd.read_csv(path) for path in sorted((out / LOGS).glob("*/metrics.csv"))]
    if not attempts:  # killed right after an earlier attempt had joined them
        return
    # One row an epoch: Lightning writes training and validation apart, and a killed attempt's last epoch is repeated.
    pd.concat(attempts).groupby("epoch", as_index=False).last().to_csv(out / "metrics.csv", index=False)
    shutil.rmtree(out / LOGS)


def _loader(stage: Stage, rows: np.ndarray, seed: int, *, shuffle: bool) -> "DataLoader[Batch]":
    dataset: Dataset[Batch] = stage.dataset(rows)
    sampler: Sampler[int] = SequentialSampler(dataset)  # type: ignore[arg-type]
    if shuffle and len(dataset):  # type: ignore[arg-type]
        dataset, sampler = stage.training_order(dataset, seed)
    count = len(sampler)  # type: ignore[arg-type]
    if count < (stage.section.batch if shuffle else 1):
        part = "training" if shuffle else "validation"
        raise RunError(
            f"{type(stage).__name__}: {count} {part} images for batches of {stage.section.batch}; "
            "lower batch or add labelled images"
        )
    return DataLoader(dataset, stage.section.batch, sampler=sampler, drop_last=shuffle, collate_fn=_whole)  # type: ignore[arg-type]


def _whole(batch: Batch) -> Batch:
    return batch


class _Reporter(Callback):
    """Hands the logged values on after each epoch."""

    def __init__(self, on_epoch: OnEpoch | None) -> None:
        self.on_epoch = on_epoch

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        if self.on_epoch:
            values = {name: float(value) for name, value in trainer.callback_metrics.items()}
            self.on_epoch(trainer.current_epoch + 1, values)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's advice on workers (batches are gathers from memory-mapped arrays) and its talk of GPUs."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists")  # it does when resuming
            warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # Lightning's own, on torch 2.13
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
