"""Fusion: what saliency does to the features, by hand and at the start of training."""

import pytest
import torch
from torch import Tensor

from selcn.labels import Diagnosis, Fusion
from selcn.models.classifier import LesionClassifier, SaliencyAttention, SaliencyFusion

IMAGES = torch.rand(2, 3, 96, 80, generator=torch.Generator().manual_seed(0))
SALIENCY = torch.rand(2, 1, 5, 4, generator=torch.Generator().manual_seed(1))


def correlation(first: Tensor, second: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])


def test_e_layer_by_hand() -> None:
    """One channel: relu(2a + 3s - 1) with saliency s that is 0 to 1 on a grid of 1x4, halved to 1x2."""
    fusion = SaliencyFusion(1).eval()
    fusion.norm.bias.data.fill_(-1)
    fusion.norm.eps = 0
    fusion.conv.weight.data = torch.tensor([2.0, 3.0]).view(1, 2, 1, 1)
    fused = fusion(torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[[0.0, 0.2, 0.6, 1.0]]]]))
    torch.testing.assert_close(fused.flatten(), torch.tensor([0.0, 2 + 3 * 0.8 - 1]))


def test_e_layer_starts_by_passing_features_on() -> None:
    torch.manual_seed(0)
    features = torch.rand(4, 64, 6, 6) * torch.linspace(0.1, 3, 64)[:, None, None]
    fusion = SaliencyFusion(64)
    fused = fusion(features, torch.rand(4, 1, 6, 6)).detach()
    normalised = torch.nn.functional.batch_norm(features, None, None, training=True)
    assert correlation(fused, normalised.relu()) > 0.98
    assert 0 < float(fusion.conv.weight[:, 64].detach().abs().mean()) < 0.05


def test_attention_by_hand() -> None:
    """Factor sigmoid(2 * (4s - 1)) at s = 0 and 1."""
    attention = SaliencyAttention(1).eval()
    for name, value in {"0.weight": 4, "0.bias": -1, "1.weight": 2}.items():
        attention.factor.get_parameter(name).data.fill_(value)
    attention.factor[2].eps = 0.0  # type: ignore[assignment]  # a batch norm, by its place
    attended = attention(torch.tensor([[[[10.0, 10.0]]]]), torch.tensor([[[[0.0, 1.0]]]]))
    torch.testing.assert_close(attended.flatten(), 10 * torch.tensor([-2.0, 6.0]).sigmoid())


@pytest.mark.parametrize("fusion", list(Fusion))
def test_trace_holds_what_the_head_sees(fusion: Fusion) -> None:
    network = LesionClassifier("test_resnet", fusion=fusion, dropout=0.4).eval()
    trace = network.trace(IMAGES, SALIENCY)
    assert trace.logits.shape == (2, len(Diagnosis))
    pooled = trace.activations.mean((2, 3))
    torch.testing.assert_close(trace.logits, pooled @ trace.weight.T + network.head.linear.bias)
    assert torch.equal(network(IMAGES, SALIENCY), trace.logits)


@pytest.mark.parametrize("fusion", [Fusion.CONCAT, Fusion.ATTENTION])
def test_saliency_counts_and_must_not_be_missing(fusion: Fusion) -> None:
    network = LesionClassifier("test_resnet", fusion=fusion).eval()
    assert not torch.allclose(network(IMAGES, SALIENCY), network(IMAGES, 1 - SALIENCY), atol=1e-6)
    with pytest.raises(ValueError, match="needs saliency"):
        network(IMAGES)


def test_the_standalone_classifier_ignores_saliency() -> None:
    network = LesionClassifier("test_resnet", fusion=Fusion.NONE).eval()
    assert torch.equal(network(IMAGES), network(IMAGES, SALIENCY))


@pytest.mark.parametrize("fusion", list(Fusion))
def test_every_parameter_learns(fusion: Fusion) -> None:
    torch.manual_seed(0)
    network = LesionClassifier("test_resnet", fusion=fusion, size=(64, 64))
    loss = torch.nn.functional.cross_entropy(network(IMAGES, SALIENCY), torch.tensor([1, 5]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())
