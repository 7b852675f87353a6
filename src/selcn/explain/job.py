"""Which images are explained, and by whom."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from selcn.config import PrepareSection
from selcn.data.datasets import as_floats, gather_images
from selcn.data.imaging.prepare import prepare_image, prepare_mask
from selcn.data.imaging.read import read_image, read_mask
from selcn.data.store.store import Store
from selcn.errors import ConfigError
from selcn.explain.explainers import Explainer
from selcn.labels import Head

BATCH = 32


class Pictures(Protocol):
    """Prepared images and true masks of a table's rows."""

    def images(self, rows: np.ndarray) -> Tensor:
        """uint8 RGB (n, 3, H, W)."""

    def masks(self, rows: np.ndarray) -> np.ndarray:
        """Bool (n, H, W), of rows that have one."""


class StoredPictures:
    """Pictures of a store, row for row."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def images(self, rows: np.ndarray) -> Tensor:
        """See `Pictures`."""
        return gather_images(self.store, rows)

    def masks(self, rows: np.ndarray) -> np.ndarray:
        """See `Pictures`."""
        return np.asarray(self.store.masks[rows]) > 0


class FilePictures:
    """Pictures decoded and prepared when they are asked for, several at a time.

    Args:
        table: with ``image_path`` and ``mask_path``.
        prepare: how.
    """

    def __init__(self, table: pd.DataFrame, prepare: PrepareSection) -> None:
        self.table, self.prepare = table, prepare
        self.pool = ThreadPoolExecutor()

    def images(self, rows: np.ndarray) -> Tensor:
        """See `Pictures`."""
        prepared = np.stack(list(self.pool.map(self._image, self.table["image_path"].iloc[rows])))
        return torch.from_numpy(prepared).permute(0, 3, 1, 2)

    def masks(self, rows: np.ndarray) -> np.ndarray:
        """See `Pictures`."""
        return np.stack(list(self.pool.map(self._mask, self.table["mask_path"].iloc[rows])))

    def _image(self, path: str) -> np.ndarray:
        return prepare_image(read_image(Path(path)), self.prepare.size, hair=self.prepare.hair)

    def _mask(self, path: str) -> np.ndarray:
        return prepare_mask(read_mask(Path(path)), self.prepare.size)


class Turn(NamedTuple):
    """Some rows, and who may speak of them."""

    rows: np.ndarray
    explainer: Explainer


@dataclass(frozen=True, eq=False)
class Subject:
    """Images to explain.

    Attributes:
        table: a catalog with ``group`` and ``fold``; ``fold`` is ``test`` where no network saw the image.
        pictures: of its rows.
        turns: who speaks of which rows; not every row need be spoken of.
        head: what is explained.
        device: where the networks run.
        source: what tells this subject from others, as JSON.
    """

    table: pd.DataFrame
    pictures: Pictures
    turns: Sequence[Turn]
    head: Head
    device: torch.device
    source: dict[str, Any]

    def __post_init__(self) -> None:
        for turn in self.turns:
            turn.explainer.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @property
    def labels(self) -> Sequence[str]:
        """Names of the head's classes."""
        return self.turns[0].explainer.labels

    def only(self, chosen: np.ndarray) -> "Subject":
        """The same without the rows that are not chosen, bool (N,)."""
        turns = [Turn(turn.rows[chosen[turn.rows]], turn.explainer) for turn in self.turns]
        return replace(self, turns=[turn for turn in turns if len(turn.rows)])

    def batches(self) -> list[Turn]:
        """All turns in batches."""
        return [
            Turn(rows, turn.explainer)
            for turn in self.turns
            for rows in np.split(turn.rows, range(BATCH, len(turn.rows), BATCH))
        ]

    def images(self, rows: np.ndarray) -> Tensor:
        """Images (n, 3, H, W) in [0, 1] on the device."""
        return as_floats(self.pictures.images(rows).to(self.device))

    def target(self, name: str | None) -> int | None:
        """Number of a class; None for the predicted one.

        Raises:
            ConfigError: the head knows no such class.
        """
        if name is None or name in self.labels:
            return None if name is None else list(self.labels).index(name)
        raise ConfigError(f"--target {name}: head {self.head} knows {', '.join(self.labels)}")
