from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import Dataset

from selcn.config import AugmentSection
from selcn.data.augmentation import Geometry
from selcn.data.balance import COPIES, BalancedDataset, BalancedSampler, balanced_counts
from selcn.data.datasets import Batch

STILL = AugmentSection(rotation=0, zoom=0, shift=0, flip=False, colour=0)


def drawn(labels: list[int], target: int, epoch: int = 0, seed: int = 123) -> list[tuple[int, int]]:
    sampler = BalancedSampler(np.array(labels), target, seed)
    sampler.set_epoch(epoch)
    numbers = list(sampler)
    assert len(numbers) == len(sampler)
    return [divmod(number, COPIES) for number in numbers]


def test_classes_are_sampled_down_or_filled_with_copies_in_the_thesis_order() -> None:
    labels = [0] * 30 + [1] * 4 + [2] * 2
    pairs = drawn(labels, target=10)
    by_class = {label: [pair for pair in pairs if labels[pair[0]] == label] for label in (0, 1, 2)}
    assert {label: len(members) for label, members in by_class.items()} == {0: 10, 1: 10, 2: 8}
    assert [copy for _, copy in by_class[0]] == [0] * 10, "a class above the target needs no copy"
    assert Counter(copy for _, copy in by_class[1]) == {0: 4, 1: 4, 2: 2}
    assert Counter(copy for _, copy in by_class[2]) == {0: 2, 1: 2, 2: 2, 3: 2}, "at most four of each image"
    assert balanced_counts(np.array([30, 4, 2]), 10).tolist() == [10, 10, 8]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(1, 40), st.integers(0, 5))
def test_no_copy_is_drawn_twice_and_every_image_of_a_small_class_is_there(
    labels: list[int], target: int, epoch: int
) -> None:
    pairs = drawn(labels, target, epoch)
    assert len(set(pairs)) == len(pairs)
    counts = np.bincount(labels)
    assert Counter(labels[image] for image, _ in pairs) == {
        label: int(count) for label, count in enumerate(balanced_counts(counts, target)) if count
    }
    for label, count in enumerate(counts):
        if 0 < count <= target:
            assert {i for i, copy in pairs if copy == 0 and labels[i] == label} == set(
                np.flatnonzero(np.array(labels) == label)
            )


def test_an_epoch_is_drawn_from_seed_and_number_alone() -> None:
    labels = [0] * 50 + [1] * 7
    assert drawn(labels, 20, epoch=3) == drawn(labels, 20, epoch=3)
    assert drawn(labels, 20, epoch=3) != drawn(labels, 20, epoch=4)
    assert drawn(labels, 20, seed=1) != drawn(labels, 20, seed=2)


class _Numbers(Dataset[Batch]):
    def __len__(self) -> int:
        return 5

    def __getitems__(self, indices: list[int]) -> Batch:
        return Batch(torch.empty(0), label=torch.tensor(indices))


def test_a_batch_says_which_copy_of_which_image_it_wants() -> None:
    dataset = BalancedDataset(_Numbers())
    assert len(dataset) == 20
    batch = dataset.__getitems__([0, 7, 14, 19])
    assert (batch.label.tolist(), batch.copy.tolist()) == ([0, 1, 3, 4], [0, 3, 2, 3])


@pytest.mark.parametrize(
    ("copy", "expected"),
    [
        (0, lambda image: image),
        (1, lambda image: image.flip(3)),
        (2, lambda image: image.flip(2)),
        (3, lambda image: torch.rot90(image, 1, (2, 3))),
    ],
)
def test_copies_are_mirror_flip_and_quarter_turn(copy: int, expected: object) -> None:
    image = torch.rand(1, 2, 6, 6)
    still = Geometry.draw(1, STILL, torch.Generator())
    made = still.of_copies(torch.tensor([copy])).apply(image, 1.0)
    assert torch.allclose(made, expected(image), atol=1e-5)  # type: ignore[operator]


def test_a_quarter_turn_of_an_oblong_image_keeps_a_disc_round() -> None:
    rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    disc = ((rows - 23.5) ** 2 + (columns - 31.5) ** 2 < 15**2).float().view(1, 1, 48, 64)
    still = Geometry.draw(1, STILL, torch.Generator())
    turned = still.of_copies(torch.tensor([3])).apply(disc, 64 / 48)
    assert (turned - disc).abs().mean() < 0.01


def test_a_drawn_geometry_is_applied_to_the_copy() -> None:
    image = torch.rand(8, 1, 12, 12)
    geometry = Geometry.draw(8, AugmentSection(rotation=20, zoom=0, shift=0), torch.Generator().manual_seed(0))
    copy = torch.full((8,), 1)

    def smooth(maps: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(maps, 3)

    once, twice = geometry.of_copies(copy).apply(image, 1.0), geometry.apply(image.flip(3), 1.0)
    assert torch.allclose(smooth(once), smooth(twice), atol=1e-4)
