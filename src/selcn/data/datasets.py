"""The torch datasets, one short class a stage; each hands out whole batches.

A dataset is asked for a list of indices at once (`__getitems__`), so that a batch is one gather from the
memory-mapped store and no picture is touched singly.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from selcn.data.store.store import Store


class Batch(NamedTuple):
    """What a training step sees.

    Attributes:
        image: uint8 RGB (N, 3, H, W), channels last in memory.
        mask: uint8 0 or 1 (N, 1, H, W).
        saliency: float32 (N, 1, h, w), empty where the stage reads none.
        label: int64 (N,) class numbers, empty where the stage has none.
        copy: int64 (N,) which copy of the image a balanced epoch wants (see `balance`), empty where each is as it is.
        partner: int64 (N,) class numbers of the images that these are mixed with, empty where they are not.
        share: float32 (1,) of the image's own label where it is mixed.
    """

    image: Tensor
    mask: Tensor
    saliency: Tensor
    label: Tensor
    copy: Tensor = torch.empty(0, dtype=torch.int64)
    partner: Tensor = torch.empty(0, dtype=torch.int64)
    share: Tensor = torch.empty(0)


class SegmentationDataset(Dataset[Batch]):
    """Images with their true masks."""

    def __init__(self, store: Store, rows: np.ndarray) -> None:
        self.store, self.rows = store, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        rows = self.rows[indices]
        return Batch(gather_images(self.store, rows), gather_maps(self.store.masks, rows), _NO_MAP, _NO_LABEL)


class SymmetryDataset(Dataset[Batch]):
    """Images with out-of-fold masks and symmetry labels.

    Args:
        store: the prepared images.
        rows: (n,) rows of the store.
        masks: uint8 (N, H, W) for all rows of the store.
        labels: int64 (N,) for all rows of the store.
    """

    def __init__(self, store: Store, rows: np.ndarray, masks: np.ndarray, labels: np.ndarray) -> None:
        self.store, self.rows, self.masks, self.labels = store, rows, masks, labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        rows = self.rows[indices]
        label = torch.from_numpy(self.labels[rows])
        return Batch(gather_images(self.store, rows), gather_maps(self.masks, rows), _NO_MAP, label)


class DiagnosisDataset(SymmetryDataset):
    """Images with out-of-fold masks, out-of-fold symmetry saliency and diagnoses.

    Args:
        saliency: float32 (N, h, w) for all rows of the store, or None for a classifier that reads none.
    """

    def __init__(
        self, store: Store, rows: np.ndarray, masks: np.ndarray, labels: np.ndarray, saliency: np.ndarray | None
    ) -> None:
        super().__init__(store, rows, masks, labels)
        self.saliency = saliency

    def __getitems__(self, indices: list[int]) -> Batch:
        batch = super().__getitems__(indices)
        if self.saliency is None:
            return batch
        return batch._replace(saliency=gather_maps(self.saliency, self.rows[indices]))


def gather_images(store: Store, rows: np.ndarray) -> Tensor:
    """Images of some rows as uint8 (n, 3, H, W)."""
    return torch.from_numpy(np.asarray(store.images[rows])).permute(0, 3, 1, 2)


def as_floats(images: Tensor) -> Tensor:
    """uint8 images to float32 in [0, 1], channels last in memory."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def gather_maps(maps: np.ndarray, rows: np.ndarray) -> Tensor:
    """Masks or saliency of some rows as (n, 1, h, w), in their own type."""
    return torch.from_numpy(np.asarray(maps[rows]))[:, None]


_NO_MAP = torch.empty(0)
_NO_LABEL = torch.empty(0, dtype=torch.int64)
