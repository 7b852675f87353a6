"""A saliency job: images to explain, and the explainer of each."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
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
from selcn.data.metadata import encode_table
from selcn.data.store.store import Store
from selcn.errors import ConfigError
from selcn.explain.explainers import Explainer
from selcn.io.threads import thread_count
from selcn.models.cascade import Known

BATCH = 32


class ImageSource(Protocol):
    """Prepared images and ground-truth masks of a table's rows."""

    def images(self, rows: np.ndarray) -> Tensor:
        """Prepared images, uint8 RGB (n, 3, H, W).

        Args:
            rows: int (n,) rows of the table.
        """

    def masks(self, rows: np.ndarray) -> np.ndarray:
        """Ground-truth masks, bool (n, H, W).

        Args:
            rows: int (n,) rows of the table that have a mask.
        """


class StoredImages:
    """ImageSource of a store, whose rows are the table's.

    Args:
        store: of prepared images and masks.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def images(self, rows: np.ndarray) -> Tensor:
        """Prepared images, uint8 RGB (n, 3, H, W).

        Args:
            rows: int (n,) rows of the table.
        """
        return gather_images(self.store, rows)

    def masks(self, rows: np.ndarray) -> np.ndarray:
        """Ground-truth masks, bool (n, H, W).

        Args:
            rows: int (n,) rows of the table that have a mask.
        """
        return np.asarray(self.store.masks[rows]) > 0


class ImageFiles:
    """ImageSource that decodes and prepares files on demand, several in parallel.

    Args:
        table: with ``image_path`` and ``mask_path``.
        prepare: size and hair removal.
    """

    def __init__(self, table: pd.DataFrame, prepare: PrepareSection) -> None:
        self.table, self.prepare = table, prepare
        self.pool = ThreadPoolExecutor(thread_count())

    def images(self, rows: np.ndarray) -> Tensor:
        """Prepared images, uint8 RGB (n, 3, H, W).

        Args:
            rows: int (n,) rows of the table.

        Raises:
            DataError: an image cannot be read.
        """
        prepared = np.stack(list(self.pool.map(self._image, self.table["image_path"].iloc[rows])))
        return torch.from_numpy(prepared).permute(0, 3, 1, 2)

    def masks(self, rows: np.ndarray) -> np.ndarray:
        """Ground-truth masks, bool (n, H, W).

        Args:
            rows: int (n,) rows of the table that have a mask.

        Raises:
            DataError: a mask cannot be read.
        """
        return np.stack(list(self.pool.map(self._mask, self.table["mask_path"].iloc[rows])))

    def _image(self, path: str) -> np.ndarray:
        return prepare_image(read_image(Path(path)), self.prepare.size, hair=self.prepare.hair)

    def _mask(self, path: str) -> np.ndarray:
        return prepare_mask(read_mask(Path(path)), self.prepare.size)


class Assignment(NamedTuple):
    """Rows, and the explainer that may explain them: none of its networks was trained on their lesions.

    Attributes:
        rows: int (n,) rows of the job's table.
        explainer: of these rows.
    """

    rows: np.ndarray
    explainer: Explainer


@dataclass(frozen=True, eq=False)
class SaliencyJob:
    """Images to explain.

    Attributes:
        table: a catalog with ``group`` and ``fold``; ``fold`` is ``test`` where no network was trained on the image.
        source_images: images and masks of its rows.
        assignments: which explainer explains which rows; rows may be left out.
        network: name of the explained network.
        device: where the networks run.
        origin: identifies networks and images, as JSON; a result of another origin is not resumed.
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
        """The job with the chosen rows only.

        Args:
            chosen: bool (N,), for each row of the table.
        """
        assignments = [
            Assignment(assignment.rows[chosen[assignment.rows]], assignment.explainer)
            for assignment in self.assignments
        ]
        return replace(self, assignments=[assignment for assignment in assignments if len(assignment.rows)])

    def batches(self) -> list[Assignment]:
        """All assignments, in batches of at most 32 rows."""
        return [
            Assignment(rows, assignment.explainer)
            for assignment in self.assignments
            for rows in np.split(assignment.rows, range(BATCH, len(assignment.rows), BATCH))
        ]

    def images(self, rows: np.ndarray) -> Tensor:
        """Prepared images, float (n, 3, H, W) in [0, 1] on the device.

        Args:
            rows: int (n,) rows of the table.

        Raises:
            DataError: an image cannot be read.
        """
        return as_floats(self.source_images.images(rows).to(self.device))

    def known(self, rows: np.ndarray) -> Known:
        """What is known of some images beside their pixels: the metadata, where the table holds any.

        Args:
            rows: int (n,) rows of the table.
        """
        return Known(metadata=torch.from_numpy(self._metadata[rows]).to(self.device))

    @cached_property
    def _metadata(self) -> np.ndarray:
        return encode_table(self.table).numbers

    def target(self, name: str | None) -> int | None:
        """Number of a class; None for None.

        Args:
            name: of a class of the explained network, or None for the predicted class.

        Raises:
            ConfigError: the network has no such class.
        """
        if name is None or name in self.labels:
            return None if name is None else list(self.labels).index(name)
        raise ConfigError(f"--target {name}: network {self.network} knows {', '.join(self.labels)}")
