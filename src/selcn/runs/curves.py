"""The learning curve of a finished training."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from selcn.runs.folder import RunFolder
from selcn.runs.plan import Kind, Step


@dataclass(frozen=True, eq=False)
class Curve:
    """The learning curve of one network trained without one fold.

    Attributes:
        fold: that it was trained without.
        epochs: ``train_loss``, ``val_loss``, ``val_<score>``, the terms of the loss (``train_`` and ``val_<term>``) and
            further metrics (``val_<metric>``), indexed by epoch from 1.
        score: name of the score's column.
        monitor: the column that determined the best epoch.
        best_epoch: the epoch whose weights were kept.
    """

    fold: int
    epochs: pd.DataFrame
    score: str
    monitor: str
    best_epoch: int


def read_curve(folder: RunFolder, network: str, fold: int, score: str) -> Curve:
    """The learning curve of one training.

    Args:
        folder: of the run.
        network: its name; the training must have finished.
        fold: that was left out.
        score: name of the score's column.
    """
    epochs = pd.read_csv(folder.training(network, fold) / "metrics.csv", index_col="epoch")
    epochs.index += 1
    monitor = str(folder.manifest(Step(Kind.TRAIN, network, fold))["monitor"])
    values = epochs[monitor].to_numpy()
    best = int(np.nanargmin(values) if monitor == "val_loss" else np.nanargmax(values))
    return Curve(fold, epochs, score, monitor, int(epochs.index[best]))
