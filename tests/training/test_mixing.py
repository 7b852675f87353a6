import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from selcn.data.datasets import Batch
from selcn.training.mixing import mix


def numbered(images: int, size: int = 16) -> Batch:
    value = torch.arange(images).float().view(images, 1, 1, 1)
    return Batch(
        value.expand(images, 3, size, size).clone(),
        torch.empty(0),
        (value.expand(images, 1, 4, 4).clone(),),
        torch.arange(images),
    )


@given(seed=st.integers(0, 500), alpha=st.sampled_from([0.2, 1.0, 4.0]))
def test_mixup_is_the_share_of_two_images_their_saliency_and_labels(seed: int, alpha: float) -> None:
    mixed = mix(numbered(5), "mixup", alpha, torch.Generator().manual_seed(seed))
    share = float(mixed.share)
    assert 0 <= share <= 1
    expected = share * mixed.label + (1 - share) * mixed.partner
    assert torch.allclose(mixed.image[:, 0, 0, 0], expected, atol=1e-5)
    assert torch.allclose(mixed.saliency[0][:, 0, 0, 0], expected, atol=1e-5)


@given(seed=st.integers(0, 500))
def test_cutmix_counts_the_pixels_that_it_pastes(seed: int) -> None:
    mixed = mix(numbered(5), "cutmix", 1.0, torch.Generator().manual_seed(seed))
    kept = mixed.image[:, 0] == mixed.label.view(-1, 1, 1)
    others = mixed.label != mixed.partner
    assert torch.allclose(kept[others].float().mean(dim=(1, 2)), mixed.share.expand(int(others.sum())))
    pasted = mixed.image[:, 0] == mixed.partner.view(-1, 1, 1)
    assert (kept | pasted).all()


def test_shares_follow_the_beta_distribution() -> None:
    generator = torch.Generator().manual_seed(0)
    shares = torch.tensor([float(mix(numbered(2, 1), "mixup", 0.5, generator).share) for _ in range(2000)])
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)).
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(shares.var()) == pytest.approx(1 / 8, abs=0.01)


def test_a_batch_without_saliency_is_mixed_too() -> None:
    batch = numbered(3)._replace(saliency=())
    for how in ("mixup", "cutmix"):
        mixed = mix(batch, how, 1.0, torch.Generator().manual_seed(0))
        assert mixed.saliency == ()
        assert not torch.equal(mixed.image, batch.image)
