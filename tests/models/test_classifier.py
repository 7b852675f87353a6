"""Fusion: what saliency does to the features, by hand and at the start of training."""

import pytest
import torch
from torch import Tensor, nn

from selcn.labels import Fusion
from selcn.models.classifier import Classifier
from selcn.models.fusion import SaliencyAttention, SaliencyConcat, SaliencyFusion
from selcn.models.heads import PooledLinearHead

IMAGES = torch.rand(2, 3, 96, 80, generator=torch.Generator().manual_seed(0))
SALIENCY = torch.rand(2, 1, 5, 4, generator=torch.Generator().manual_seed(1))
READING = [(), (Fusion.CONCAT,), (Fusion.ATTENTION,), (Fusion.CONCAT, Fusion.ATTENTION, Fusion.CONCAT)]


def correlation(first: Tensor, second: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])


def maps(fusions: tuple[Fusion, ...]) -> list[Tensor]:
    return [SALIENCY ** (number + 1) for number in range(len(fusions))]


def test_e_layer_by_hand() -> None:
    """One channel: relu(2a + 3s - 1) with saliency s that is 0 to 1 on a grid of 1x4, halved to 1x2."""
    fusion = SaliencyConcat(1).eval()
    fusion.norm.bias.data.fill_(-1)
    fusion.norm.eps = 0
    fusion.conv.weight.data = torch.tensor([2.0, 3.0]).view(1, 2, 1, 1)
    fused = fusion(torch.tensor([[[[0.0, 1.0]]]]), [torch.tensor([[[[0.0, 0.2, 0.6, 1.0]]]])])
    torch.testing.assert_close(fused.flatten(), torch.tensor([0.0, 2 + 3 * 0.8 - 1]))


def test_several_maps_by_hand() -> None:
    """relu(2 * 10 sigmoid(2 (4t - 1)) + 3s + 5u) of one feature 10, s and u concatenated, t attended first."""
    fusion = SaliencyFusion(1, (Fusion.CONCAT, Fusion.ATTENTION, Fusion.CONCAT)).eval()
    assert fusion.concat is not None
    fusion.concat.norm.eps = 0
    fusion.concat.conv.weight.data = torch.tensor([2.0, 3.0, 5.0]).view(1, 3, 1, 1)
    (attention,) = fusion.attention
    for name, value in {"0.weight": 4, "0.bias": -1, "1.weight": 2}.items():
        attention.get_submodule("factor").get_parameter(name).data.fill_(value)
    attention.get_submodule("factor.2").eps = 0.0  # type: ignore[assignment]  # a batch norm
    s, t, u = (torch.full((1, 1, 1, 1), value) for value in (0.5, 0.25, -1.0))
    fused = fusion(torch.full((1, 1, 1, 1), 10.0), [s, t, u])
    torch.testing.assert_close(fused.flatten(), torch.tensor([2 * 10 * 0.5 + 3 * 0.5 - 5]))
    with pytest.raises(ValueError, match="reads 3 saliency maps, 2 are given"):
        fusion(torch.ones(1, 1, 1, 1), [s, t])


def test_e_layer_starts_by_passing_features_on() -> None:
    torch.manual_seed(0)
    features = torch.rand(4, 64, 6, 6) * torch.linspace(0.1, 3, 64)[:, None, None]
    fusion = SaliencyConcat(64)
    fused = fusion(features, [torch.rand(4, 1, 6, 6)]).detach()
    normalised = torch.nn.functional.batch_norm(features, None, None, training=True)
    assert correlation(fused, normalised.relu()) > 0.98
    assert 0 < float(fusion.conv.weight[:, 64].detach().abs().mean()) < 0.05


def test_e_layer_starts_at_random_where_that_is_asked() -> None:
    """Uniform within 1/sqrt(64 + 1), as PyTorch initialises a convolution, so that saliency weighs like a feature."""
    torch.manual_seed(0)
    fusion = SaliencyFusion(64, (Fusion.CONCAT,))
    assert fusion.concat is not None
    fusion.start("identity")
    torch.testing.assert_close(fusion.concat.conv.weight[:, :64, 0, 0].detach(), torch.eye(64))
    fusion.start("random")
    weight, bound = fusion.concat.conv.weight.detach(), 65**-0.5
    assert float(weight.abs().max()) <= bound
    for part in (weight[:, :64], weight[:, 64:]):
        assert float(part.std()) == pytest.approx(bound / 3**0.5, rel=0.2)


def test_attention_by_hand() -> None:
    """Factor sigmoid(2 * (4s - 1)) at s = 0 and 1."""
    attention = SaliencyAttention(1).eval()
    for name, value in {"0.weight": 4, "0.bias": -1, "1.weight": 2}.items():
        attention.factor.get_parameter(name).data.fill_(value)
    attention.factor[2].eps = 0.0  # type: ignore[assignment]  # a batch norm, by its place
    attended = attention(torch.tensor([[[[10.0, 10.0]]]]), torch.tensor([[[[0.0, 1.0]]]]))
    torch.testing.assert_close(attended.flatten(), 10 * torch.tensor([-2.0, 6.0]).sigmoid())


@pytest.mark.parametrize("fusions", READING)
def test_trace_holds_what_the_head_sees(fusions: tuple[Fusion, ...]) -> None:
    network = Classifier("test_resnet", 7, fusions=fusions, dropout=0.4).eval()
    output = network.trace(IMAGES, maps(fusions))
    assert output.logits.shape == (2, 7)
    pooled = output.activations.mean((2, 3))
    assert isinstance(network.head, PooledLinearHead)
    torch.testing.assert_close(output.logits, pooled @ output.weight.T + network.head.linear.bias)
    assert torch.equal(network(IMAGES, maps(fusions)), output.logits)


@pytest.mark.parametrize("fusions", READING[1:])
def test_saliency_counts_and_must_not_be_missing(fusions: tuple[Fusion, ...]) -> None:
    network = Classifier("test_resnet", 7, fusions=fusions).eval()
    given = maps(fusions)
    for number in range(len(given)):
        other = [1 - one if place == number else one for place, one in enumerate(given)]
        assert not torch.allclose(network(IMAGES, given), network(IMAGES, other), atol=1e-6)
    with pytest.raises(ValueError, match=f"reads {len(fusions)} saliency maps, 0 are given"):
        network(IMAGES)


@pytest.mark.parametrize("fusions", READING)
def test_every_parameter_learns(fusions: tuple[Fusion, ...]) -> None:
    torch.manual_seed(0)
    network = Classifier("test_resnet", 7, fusions=fusions, size=(64, 64))
    loss = torch.nn.functional.cross_entropy(network(IMAGES, maps(fusions)), torch.tensor([1, 5]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())


@pytest.mark.parametrize("backbone", ["test_resnet", "squeezenet1_1", "torchvision/resnet18"])
@torch.no_grad()
def test_the_mask_as_fourth_channel_starts_unread_and_is_trained(backbone: str) -> None:
    torch.manual_seed(0)
    plain = Classifier(backbone, 3).eval()
    torch.manual_seed(0)
    network = Classifier(backbone, 3, mask=True).eval()
    images, mask = torch.rand(2, 3, 64, 64), (torch.rand(2, 1, 64, 64) > 0.5).float()
    torch.testing.assert_close(network(torch.cat([images, mask], dim=1)), plain(images))
    with torch.enable_grad():
        network(torch.cat([images, mask], dim=1)).sum().backward()
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    assert first.weight.shape[1] == 4
    assert first.weight.grad is not None
    assert first.weight.grad[:, 3].abs().sum() > 0
