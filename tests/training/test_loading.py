from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Sampler

from selcn.training.loading import Shared


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
