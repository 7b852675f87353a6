import torch
from hypothesis import given
from hypothesis import strategies as st

from selcn.labels import Control
from selcn.saliency.controls import replace_saliency


def test_without_a_control_the_saliency_stays_what_it_is() -> None:
    saliency = torch.rand(3, 1, 4, 5)
    assert replace_saliency(saliency, None) is saliency
    assert not replace_saliency(saliency, Control.ZERO).any()


@given(images=st.integers(2, 12), seed=st.integers(0, 1000))
def test_shuffling_hands_each_map_to_another_image(images: int, seed: int) -> None:
    saliency = torch.arange(images).float().view(images, 1, 1, 1)
    shuffled = replace_saliency(saliency, Control.SHUFFLED, torch.Generator().manual_seed(seed))
    assert sorted(shuffled.flatten().tolist()) == saliency.flatten().tolist()
    assert not (shuffled == saliency).any()


def test_noise_has_nothing_of_the_saliency_and_is_the_same_for_the_same_seed() -> None:
    one, other = (
        replace_saliency(torch.full((2, 1, 3, 3), value), Control.RANDOM, torch.Generator().manual_seed(1))
        for value in (0.0, 1.0)
    )
    assert torch.equal(one, other)
    assert len(set(one.flatten().tolist())) == one.numel()
    assert 0 <= float(one.min()) <= float(one.max()) <= 1
