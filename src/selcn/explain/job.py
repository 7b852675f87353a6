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

BATCH = 32


class ImageSource(Protocol):
    """Prepared images and true masks of a table's rows."""

    def images(self, rows: np.ndarray) -> Tensor:
        """uint8 RGB (n, 3, H, W)."""

    def masks(self, rows: np.ndarray) -> np.ndarray:
        """Bool (n, H, W), of rows that have one."""


class StoredImages:
    """ImageSource of a store, row for row."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def images(self, rows: np.ndarray) -> Tensor:
        """See `ImageSource`."""
        return gather_images(self.store, rows)

    def masks(self, rows: np.ndarray) -> np.ndarray:
        """See `ImageSource`."""
        return np.asarray(self.store.masks[rows]) > 0


class ImageFiles:
    """ImageSource decoded and prepared when they are asked for, several at a time.

    Args:
        table: with ``image_path`` and ``mask_path``.
        prepare: how.
    """

    def __init__(self, table: pd.DataFrame, prepare: PrepareSection) -> None:
        self.table, self.prepare = table, prepare
        self.pool = ThreadPoolExecutor()

    def images(self, rows: np.ndarray) -> Tensor:
        """See `ImageSource`."""
        prepared = np.stack(list(self.pool.map(self._image, self.table["image_path"].iloc[rows])))
        return torch.from_numpy(prepared).permute(0, 3, 1, 2)

    def masks(self, rows: np.ndarray) -> np.ndarray:
        """See `ImageSource`."""
        return np.stack(list(self.pool.map(self._mask, self.table["mask_path"].iloc[rows])))

    def _image(self, path: str) -> np.ndarray:
        return prepare_image(read_image(Path(path)), self.prepare.size, hair=self.prepare.hair)

    def _mask(self, path: str) -> np.ndarray:
        return prepare_mask(read_mask(Path(path)), self.prepare.size)


class Assignment(NamedTuple):
    """Some rows, and who may speak of them."""

    rows: np.ndarray
    explainer: Explainer


@dataclass(frozen=True, eq=False)
class SaliencyJob:
    """Images to explain.

    Attributes:
        table: a catalog with ``group`` and ``fold``; ``fold`` is ``test`` where no network saw the image.
        source_images: of its rows.
        assignments: who speaks of which rows; not every row need be spoken of.
        network: what is explained.
        device: where the networks run.
        origin: what tells this job from others, as JSON.
    """

    table: pd.DataFrame
    source_images: ImageSource
    assignments: Sequence[Assignment]
    network: str
    device: torch.device
    origin: dict[str, Any]

    def __post_init__(self) -> None:
        for assignment in self.assignments:
            assignment.explainer.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @property
    def labels(self) -> Sequence[str]:
        """Names of the network's classes."""
        return self.assignments[0].explainer.labels

    def only(self, chosen: np.ndarray) -> "SaliencyJob":
        """The same without the rows that are not chosen, bool (N,)."""
        assignments = [
            Assignment(assignment.rows[chosen[assignment.rows]], assignment.explainer)
            for assignment in self.assignments
        ]
        return replace(self, assignments=[assignment for assignment in assignments if len(assignment.rows)])

    def batches(self) -> list[Assignment]:
        """All assignments in batches."""
        return [
            Assignment(rows, assignment.explainer)
            for assignment in self.assignments
            for rows in np.split(assignment.rows, range(BATCH, len(assignment.rows), BATCH))
        ]

    def images(self, rows: np.ndarray) -> Tensor:
        """Images (n, 3, H, W) in [0, 1] on the device."""
        return as_floats(self.source_images.images(rows).to(self.device))

    def target(self, name: str | None) -> int | None:
        """Number of a class; None for the predicted one.

        Raises:
            ConfigError: the network knows no such class.
        """
        if name is None or name in self.labels:
            return None if name is None else list(self.labels).index(name)
        raise ConfigError(f"--target {name}: network {self.network} knows {', '.join(self.labels)}")
