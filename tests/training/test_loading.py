from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Sampler

from selcn.config import ClassificationSection
from selcn.data.datasets import Sources
from selcn.data.store.store import Store
from selcn.errors import RunError
from selcn.labels import parse_label_set
from selcn.tasks.classification import ClassificationTask
from selcn.training.loading import Shared, build_loader


class Counting(Sampler[int]):
    def __init__(self, count: int) -> None:
        self.count, self.epoch = count, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return iter([self.epoch * 1000 + number for number in range(self.count)])


@given(count=st.integers(0, 50), world=st.integers(1, 5))
def test_processes_draw_together_what_one_draws_alone(count: int, world: int) -> None:
    shares = [Shared(Counting(count), rank, world) for rank in range(world)]
    drawn = [list(share) for share in shares]
    assert sorted(number for share in drawn for number in share) == list(range(count))
    assert [len(share) for share in shares] == [len(share) for share in drawn]


@pytest.mark.parametrize("world", [1, 2, 4])
def test_each_batch_holds_the_same_images_for_any_number_of_processes(world: int) -> None:
    batch, own = 8, 8 // world
    drawn = [list(Shared(Counting(32), rank, world)) for rank in range(world)]
    for number in range(4):
        together = {image for share in drawn for image in share[number * own : (number + 1) * own]}
        assert together == set(range(number * batch, (number + 1) * batch))


def test_the_epoch_is_handed_on() -> None:
    share = Shared(Counting(4), 1, 2)
    share.set_epoch(3)
    assert list(share) == [3001, 3003]


ROWS = np.array([3, 0, 4, 6, 1, 9, 7, 8, 2, 5, 11])
NUMBERS = np.broadcast_to(np.arange(12, dtype=np.uint8)[:, None, None, None], (12, 2, 3, 3))


def loader(
    batch: int = 4, rows: np.ndarray = ROWS, *, shuffle: bool = True, balance: int | None = None, **more: Any
) -> Any:
    """Of images whose value is their row's number; row 2 has no class, and row 11 alone the second."""
    labels = np.array([0, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    section = ClassificationSection(labels=parse_label_set(["a", "b"]), batch=batch, balance=balance)
    store = Store(NUMBERS, NUMBERS[..., 0], np.ones(12, dtype=bool), [], hair=False, catalog="")
    task = ClassificationTask("criterion", section)
    return build_loader(task, Sources(store, labels=labels), rows, 7, shuffle=shuffle, **more)


def rows_of(batches: Any, epoch: int = 0) -> list[list[int]]:
    batches.sampler.set_epoch(epoch)
    return [batch.image[:, 0, 0, 0].tolist() for batch in batches]


def test_training_batches_are_whole_and_of_another_order_each_epoch() -> None:
    epochs = [rows_of(loader(), epoch) for epoch in (0, 1, 0)]
    assert [[len(batch) for batch in epoch] for epoch in epochs] == [[4, 4]] * 3, "10 images have a class"
    assert all(len({*epoch[0], *epoch[1]}) == 8 for epoch in epochs)
    assert all({*epoch[0], *epoch[1]} <= {*ROWS.tolist()} - {2} for epoch in epochs)
    assert epochs[0] == epochs[2] != epochs[1]


def test_validation_takes_every_image_in_order() -> None:
    assert rows_of(loader(shuffle=False)) == [[3, 0, 4, 6], [1, 9, 7, 8], [5, 11]]


@pytest.mark.parametrize("shuffle", [True, False])
def test_two_processes_share_the_batches_of_one(shuffle: bool) -> None:
    whole = rows_of(loader(shuffle=shuffle), 3)
    halves = [rows_of(loader(shuffle=shuffle, rank=rank, world=2), 3) for rank in (0, 1)]
    assert [sorted(one + other) for one, other in zip(*halves, strict=True)] == [sorted(batch) for batch in whole]
    assert [batch[::2] for batch in whole] == halves[0]


def test_a_balanced_epoch_shows_the_rarer_class_as_often_as_copies_reach() -> None:
    batches = loader(balance=6)
    batches.sampler.set_epoch(0)
    found = [
        (int(row), int(copy))
        for batch in batches
        for row, copy in zip(batch.image[:, 0, 0, 0], batch.copy, strict=True)
    ]
    assert len(found) == len(set(found)) == 8, "6 of one class and 4 copies of the other make two batches of 4"
    assert {copy for row, copy in found if row != 11} == {0}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"world": 3}, "a batch of 4 does not divide among 3 processes; choose another batch or --devices"),
        ({"batch": 11}, "network criterion: 10 training images for batches of 11; lower batch or add labelled images"),
        ({"rows": np.array([2]), "shuffle": False}, "network criterion: 0 validation images for batches of 4"),
        ({"rows": np.array([2])}, "network criterion: 0 training images for batches of 4"),
    ],
)
def test_what_makes_no_batch_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        loader(**keys)
