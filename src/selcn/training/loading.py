"""Batches of one fold, for one process or for several that share them."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler, SequentialSampler

from selcn.data.datasets import Batch, Samples, Sources
from selcn.errors import RunError
from selcn.tasks.task import Task


class Shared(Sampler[int]):
    """Every n-th index of a sampler, so that n processes together take the indices that one would take alone.

    Args:
        sampler: of all indices.
        rank: of this process, from 0.
        world: number of processes n.
    """

    def __init__(self, sampler: Sampler[int], rank: int, world: int) -> None:
        self.sampler, self.rank, self.world = sampler, rank, world

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch's number to the sampler; called by the trainer.

        Args:
            epoch: from 0.
        """
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(range(self.rank, len(self.sampler), self.world))  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[int]:
        return islice(iter(self.sampler), self.rank, None, self.world)


def build_loader(
    task: Task,
    sources: Sources,
    rows: np.ndarray,
    seed: int,
    *,
    shuffle: bool,
    rank: int = 0,
    world: int = 1,
    pin: bool = False,
) -> "DataLoader[Batch]":
    """Loader of one process's share of each batch; an incomplete last batch of a training epoch is dropped.

    Args:
        task: what is trained.
        sources: the arrays.
        rows: int (n,) rows of ``sources``.
        seed: of the order.
        shuffle: True for training, False for validation.
        rank: of this process, from 0.
        world: number of processes.
        pin: whether batches are put into pinned memory, for a GPU.

    Raises:
        RunError: the batch size is not divisible by ``world``, or there are fewer images than one batch.
    """
    batch = task.section.batch
    if batch % world:
        raise RunError(f"a batch of {batch} does not divide among {world} processes; choose another batch or --devices")
    samples = Samples(sources, task.usable(sources, rows))
    dataset: Dataset[Batch] = samples
    sampler: Sampler[int] = SequentialSampler(samples)
    if shuffle and len(samples):
        dataset, sampler = task.training_order(samples, seed)
    count = len(sampler)  # type: ignore[arg-type]
    if count < (batch if shuffle else 1):
        subset = "training" if shuffle else "validation"
        raise RunError(
            f"network {task.name}: {count} {subset} images for batches of {batch}; lower batch or add labelled images"
        )
    if shuffle:
        sampler = _Whole(sampler, count // batch * batch)
    # Without workers: a batch is one gather from memory-mapped arrays, and passing it on would cost more.
    return DataLoader(
        dataset,
        batch // world,
        sampler=Shared(sampler, rank, world),
        collate_fn=_as_it_is,  # type: ignore[arg-type]
        pin_memory=pin,
    )


class _Whole(Shared):
    """The first indices of a sampler, so that every batch is complete for any number of processes."""

    def __init__(self, sampler: Sampler[int], count: int) -> None:
        super().__init__(sampler, 0, 1)
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return islice(iter(self.sampler), self.count)


def _as_it_is(batch: Batch) -> Batch:
    return batch
