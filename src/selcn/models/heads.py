"""The last layers of a classifying network, and what of them a saliency map needs."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

EVERY_CHANNEL = slice(None)


class HeadOutput(NamedTuple):
    """A forward pass with what Grad-CAM++ in closed form reads; meaningful in evaluation mode, without dropout.

    Attributes:
        logits: (N, classes).
        activations: (N, K, h, w), the target layer's.
        weight: (classes, K), the head's rows for those channels.
        class_maps: (N, classes, h, w) in front of the head's ReLU; None where the head is linear.
    """

    logits: Tensor
    activations: Tensor
    weight: Tensor
    class_maps: Tensor | None


class PooledLinearHead(nn.Module):
    """Global average pool, dropout, linear."""

    def __init__(self, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, classes)

    def forward(self, features: Tensor, target: slice = EVERY_CHANNEL) -> HeadOutput:
        """Output for features (N, C, h, w), whose channels ``target`` are the target layer."""
        logits = self.linear(self.dropout(features.mean((2, 3))))
        return HeadOutput(logits, features[:, target], self.linear.weight[:, target], None)


class SqueezeNetHead(nn.Module):
    """Dropout, 1x1 convolution, ReLU, global average pool (Iandola et al. 2016, as torchvision initialises it).

    The ReLU stands behind the class maps: a class whose map is negative everywhere has logit 0 and receives no
    gradient. That is the network as published and it is kept; watch for logits that stay 0.
    """

    def __init__(self, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.conv = nn.Conv2d(channels, classes, kernel_size=1)
        nn.init.normal_(self.conv.weight, std=0.01)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]  # never None: the layer is made with a bias

    def forward(self, features: Tensor, target: slice = EVERY_CHANNEL) -> HeadOutput:
        """Output for features (N, C, h, w), whose channels ``target`` are the target layer."""
        class_maps = self.conv(self.dropout(features))
        logits = F.relu(class_maps).mean((2, 3))
        return HeadOutput(logits, features[:, target], self.conv.weight[:, target, 0, 0], class_maps)
