"""Heads: their logits by hand, and that a trace is what the logits were made of."""

import pytest
import torch
from torch import nn

from selcn.models.heads import PooledLinearHead, SqueezeNetHead


def set_row(layer: nn.Conv2d | nn.Linear, weight: list[list[float]], bias: list[float]) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight).view_as(layer.weight))
        assert layer.bias is not None
        layer.bias.copy_(torch.tensor(bias))


FEATURES = torch.tensor([[[[1.0, 0.0], [2.0, 1.0]], [[0.0, 4.0], [0.0, 0.0]]]])


def test_linear_head_by_hand() -> None:
    """Pooled 1 and 1; 2*1 - 3*1 + 0.5 and 1*1 + 1*1 - 1."""
    head = PooledLinearHead(2, 2, dropout=0.5).eval()
    set_row(head.linear, [[2, -3], [1, 1]], [0.5, -1])
    trace = head(FEATURES)
    assert trace.logits.tolist() == [[-0.5, 1]]
    assert trace.weight.tolist() == [[2, -3], [1, 1]]
    assert torch.equal(trace.activations, FEATURES)
    assert trace.class_maps is None


def test_squeezenet_head_by_hand() -> None:
    """Class 0: 2a - b + 1 = 3, -3, 5, 3 -> 11/4. Class 1: -a = never positive -> 0."""
    head = SqueezeNetHead(2, 2, dropout=0.5).eval()
    set_row(head.conv, [[2, -1], [-1, 0]], [1, 0])
    trace = head(FEATURES, slice(1, None))
    assert trace.logits.tolist() == [[11 / 4, 0]]
    assert trace.weight.tolist() == [[-1], [0]]
    assert torch.equal(trace.activations, FEATURES[:, 1:])
    assert trace.class_maps.tolist() == [[[[3, -3], [5, 3]], [[-1, 0], [-2, -1]]]]


def test_squeezenet_head_starts_as_torchvision_s() -> None:
    torch.manual_seed(0)
    head = SqueezeNetHead(512, 100, dropout=0.5)
    assert float(head.conv.weight.detach().std()) == pytest.approx(0.01, rel=0.02)
    assert head.conv.bias is not None
    assert not head.conv.bias.any()
