"""The last layers of a classifier, and what of them a saliency map is computed from."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

EVERY_CHANNEL = slice(None)


class HeadOutput(NamedTuple):
    """A forward pass with the inputs of closed-form Grad-CAM++; valid in evaluation mode, without dropout.

    Attributes:
        logits: (N, classes).
        activations: (N, K, h, w), of the target layer.
        weight: (classes, K), the head's weights for those channels.
        class_maps: (N, classes, h, w) before the head's ReLU; None where the head is linear.
    """

    logits: Tensor
    activations: Tensor
    weight: Tensor
    class_maps: Tensor | None


class PooledLinearHead(nn.Module):
    """Global average pool, dropout, linear.

    Args:
        channels: C, of the features.
        classes: number of classes.
        dropout: share of the pooled features dropped in training, in [0, 1).
    """

    def __init__(self, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, classes)

    def forward(self, features: Tensor, target: slice = EVERY_CHANNEL) -> HeadOutput:
        """Output of the head.

        Args:
            features: (N, C, h, w).
            target: the channels of ``features`` that are the target layer.
        """
        logits = self.linear(self.dropout(features.mean((2, 3))))
        return HeadOutput(logits, features[:, target], self.linear.weight[:, target], None)


class SqueezeNetHead(nn.Module):
    """Dropout, 1x1 convolution, ReLU, global average pool (Iandola et al. 2016, initialised as in torchvision).

    The ReLU follows the class maps: a class whose map is negative everywhere has logit 0 and receives no gradient. This
    is the published network and is kept; watch for logits that stay 0.

    Args:
        channels: C, of the features.
        classes: number of classes.
        dropout: share of the features dropped in training, in [0, 1).
    """

    def __init__(self, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.conv = nn.Conv2d(channels, classes, kernel_size=1)
        nn.init.normal_(self.conv.weight, std=0.01)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]  # never None: the layer is made with a bias

    def forward(self, features: Tensor, target: slice = EVERY_CHANNEL) -> HeadOutput:
        """Output of the head.

        Args:
            features: (N, C, h, w).
            target: the channels of ``features`` that are the target layer.
        """
        class_maps = self.conv(self.dropout(features))
        logits = F.relu(class_maps).mean((2, 3))
        return HeadOutput(logits, features[:, target], self.conv.weight[:, target, 0, 0], class_maps)
