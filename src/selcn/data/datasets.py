"""The torch dataset of every task; it hands out whole batches.

A dataset is asked for a list of indices at once (`__getitems__`), so that a batch is one gather from memory-mapped
arrays and no image is touched singly.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from selcn.data.store.store import Store

_NO_MAP = torch.empty(0)
_NO_LABEL = torch.empty(0, dtype=torch.int64)


class Batch(NamedTuple):
    """What a training step is given.

    Attributes:
        image: uint8 RGB (N, 3, H, W), channels last in memory; empty where features are stored.
        mask: uint8 0 or 1 (N, 1, H, W), empty where the task needs none.
        saliency: float32 (N, 1, h, w) each, one an earlier network that is read.
        label: int64 (N,) class numbers, empty where the task has none.
        copy: int64 (N,) which copy of the image a balanced epoch wants (see `balance`), empty where each is as it is.
        partner: int64 (N,) class numbers of the images that these are mixed with, empty where they are not.
        share: float32 (1,) of the image's own label where it is mixed.
        metadata: float32 (N, `selcn.labels.metadata.WIDTH`), zeros where values are missing; empty where the network
            reads none.
        views: float32 (N, V, C, h, w), stored features of the image and its flips; empty where there are none.
    """

    image: Tensor
    mask: Tensor = _NO_MAP
    saliency: tuple[Tensor, ...] = ()
    label: Tensor = _NO_LABEL
    copy: Tensor = _NO_LABEL
    partner: Tensor = _NO_LABEL
    share: Tensor = _NO_MAP
    metadata: Tensor = _NO_MAP
    views: Tensor = _NO_MAP


@dataclass(frozen=True, eq=False)
class Sources:
    """The arrays that a network is trained on, row for row of one catalog; N rows.

    Attributes:
        store: the prepared images.
        masks: uint8 0 or 1 (N, H, W), true or out of fold; None for a network that needs none.
        saliency: float32 (N, h, w), out of fold, one an earlier network that is read.
        labels: int64 class numbers (N,), -1 where unknown; None for a network without classes.
        metadata: float32 (N, `selcn.labels.metadata.WIDTH`); None for a network that reads none.
        views: float32 (N, V, C, h, w), features of each image and its flips, of a frozen backbone; None for images.
    """

    store: Store
    masks: np.ndarray | None = None
    saliency: tuple[np.ndarray, ...] = ()
    labels: np.ndarray | None = None
    metadata: np.ndarray | None = None
    views: np.ndarray | None = None


class Samples(Dataset[Batch]):
    """Some rows of the sources.

    Args:
        sources: the arrays.
        rows: int (n,) row numbers.
    """

    def __init__(self, sources: Sources, rows: np.ndarray) -> None:
        self.sources, self.rows = sources, rows

    @property
    def labels(self) -> np.ndarray:
        """Class numbers int64 (n,) of the rows.

        Raises:
            ValueError: the sources have no labels.
        """
        if self.sources.labels is None:
            raise ValueError("the task has no labels")
        labels: np.ndarray = self.sources.labels[self.rows]
        return labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        rows, sources = self.rows[indices], self.sources
        return Batch(
            gather_images(sources.store, rows) if sources.views is None else _NO_MAP,
            _NO_MAP if sources.masks is None else gather_maps(sources.masks, rows),
            tuple(gather_maps(maps, rows) for maps in sources.saliency),
            _NO_LABEL if sources.labels is None else torch.from_numpy(sources.labels[rows]),
            metadata=_NO_MAP if sources.metadata is None else torch.from_numpy(sources.metadata[rows]),
            views=_NO_MAP if sources.views is None else torch.from_numpy(np.asarray(sources.views[rows])),
        )


def gather_images(store: Store, rows: np.ndarray) -> Tensor:
    """Images of some rows (n,) as uint8 (n, 3, H, W).

    Args:
        store: of N images.
        rows: int (n,) row numbers.
    """
    return torch.from_numpy(np.asarray(store.images[rows])).permute(0, 3, 1, 2)


def as_floats(images: Tensor) -> Tensor:
    """uint8 images (N, 3, H, W) to float32 in [0, 1], channels last in memory.

    Args:
        images: uint8 (N, 3, H, W).
    """
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def gather_maps(maps: np.ndarray, rows: np.ndarray) -> Tensor:
    """Masks or saliency (N, h, w) of some rows (n,) as (n, 1, h, w), in their own type.

    Args:
        maps: (N, h, w), of any type that torch takes.
        rows: int (n,) row numbers.
    """
    return torch.from_numpy(np.asarray(maps[rows]))[:, None]


def in_batches(rows: np.ndarray, size: int = 32) -> list[np.ndarray]:
    """Rows in batches of nearly equal numbers, at most ``size`` each; none of no rows.

    Args:
        rows: int (n,) row numbers.
        size: most rows of a batch, at least 1.
    """
    return np.array_split(rows, -(-len(rows) // size)) if len(rows) else []
