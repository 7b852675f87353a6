"""Balanced epochs: every class drawn to one target, copies made while training and never before the split.

As in the thesis, a class above the target is sampled down, and one below it is filled with its images mirrored, then
flipped, then turned by a quarter, each at most once; a class of fewer than a quarter of the target stays short. Other
than there, each epoch draws anew, and nothing is written to disk.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from selcn.data.datasets import Batch

COPIES = 4
"""An image as it is, mirrored, flipped, turned by a quarter."""


def balanced_counts(counts: np.ndarray, target: int) -> np.ndarray:
    """Images of each class (C,) in an epoch that is balanced to ``target``.

    Args:
        counts: int (C,), images that each class has.
        target: images that each class should have in an epoch.
    """
    shown: np.ndarray = np.minimum(counts * COPIES, target)
    return shown


class BalancedSampler(Sampler[int]):
    """Draws an epoch of numbers `index * COPIES + copy` for a `BalancedDataset`; the same for the same seed and epoch.

    Args:
        labels: class number of each image, int (N,).
        target: images of each class in an epoch.
        seed: of the draw.
    """

    def __init__(self, labels: np.ndarray, target: int, seed: int) -> None:
        self.labels, self.target, self.seed, self.epoch = labels, target, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose which draw the next iteration makes; called by the trainer.

        Args:
            epoch: its number, from 0.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        return int(balanced_counts(np.bincount(self.labels), self.target).sum())

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self.seed, self.epoch])
        drawn = []
        for label in np.unique(self.labels):
            members = np.flatnonzero(self.labels == label)
            # Shuffled within each kind of copy, so that the images come first and the last kind is a random part.
            copies = [generator.permutation(members) * COPIES + copy for copy in range(COPIES)]
            drawn.append(np.concatenate(copies)[: self.target])
        return iter(generator.permutation(np.concatenate(drawn)).tolist())


class BalancedDataset(Dataset[Batch]):
    """A dataset asked by a `BalancedSampler`: its batches say which copy of each image is wanted.

    The copy itself is made by the augmentation, in the one resampling that there is.

    Args:
        dataset: of the images as they are; it has `__getitems__`.
    """

    def __init__(self, dataset: Dataset[Batch]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset) * COPIES  # type: ignore[arg-type]

    def __getitems__(self, numbers: list[int]) -> Batch:
        indices, copies = np.divmod(numbers, COPIES)
        batch: Batch = self.dataset.__getitems__(indices.tolist())  # type: ignore[attr-defined]
        return batch._replace(copy=torch.from_numpy(copies))
