"""Image, and the saliency of its symmetry, to diagnosis logits."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selcn.labels import Fusion
from selcn.models.backbones import build_backbone, resize_images
from selcn.models.heads import PooledLinearHead, Trace


class SaliencyFusion(nn.Module):
    """The "E-layer": saliency as one more channel, then 1x1 convolution back to C, batch norm, ReLU.

    The convolution starts as the identity on the features, with small random weights for the saliency. A random start
    would mix all channels and destroy what a pretrained backbone brings; from the identity the network begins as its
    standalone twin (features behind a ReLU or SiLU stay informative through batch norm and ReLU) and learns how much
    saliency to admit.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels + 1, channels, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        with torch.no_grad():
            self.conv.weight[:, :channels, 0, 0] = torch.eye(channels)
            self.conv.weight[:, channels].normal_(std=0.01)

    def forward(self, features: Tensor, saliency: Tensor) -> Tensor:
        """Fused features (N, C, h, w) of features (N, C, h, w) and saliency (N, 1, any, any)."""
        return F.relu(self.norm(self.conv(torch.cat([features, _to_grid(saliency, features)], dim=1))))


class SaliencyAttention(nn.Module):
    """Saliency to C channels, 1x1 convolution, batch norm, sigmoid: a factor in (0, 1) on every feature."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Sequential(
            nn.Conv2d(1, channels, kernel_size=1),
            nn.Conv2d(channels, channels, kernel_size=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor, saliency: Tensor) -> Tensor:
        """Attended features (N, C, h, w) of features (N, C, h, w) and saliency (N, 1, any, any)."""
        factor: Tensor = self.factor(_to_grid(saliency, features))
        return features * factor


class LesionClassifier(nn.Module):
    """Diagnosis of a lesion, standalone or with the symmetry network's saliency (CAM transfer).

    The target layer of its own saliency is what the pooled linear head sees: the features, with ``concat`` the
    E-layer's ReLU output, with ``attention`` the attended features.
    """

    def __init__(
        self,
        backbone: str,
        *,
        fusion: Fusion,
        classes: int = 7,
        weights: Path | str | None = None,
        dropout: float = 0.0,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Build the network.

        Args:
            backbone: a name that ``build_backbone`` knows.
            fusion: how saliency enters.
            classes: how many diagnoses.
            weights: the backbone's, see ``build_backbone``.
            dropout: share of pooled features dropped in front of the last layer while training.
            size: width and height in pixels at which the network works; None for that of the images.

        Raises:
            ConfigError: the backbone or its weights cannot be had.
        """
        super().__init__()
        self.fusion = fusion
        self.size = size
        self.backbone = build_backbone(backbone, weights)
        self.fuse = _build_fusion(fusion, self.backbone.channels)
        self.head = PooledLinearHead(self.backbone.channels, classes, dropout)

    def trace(self, images: Tensor, saliency: Tensor | None = None) -> Trace:
        """Logits (N, classes) of images (N, 3, H, W) and saliency (N, 1, any, any), with what saliency reads.

        Raises:
            ValueError: the network fuses saliency and none is given.
        """
        features = self.backbone(resize_images(images, self.size))
        if self.fuse is not None:
            if saliency is None:
                raise ValueError(f"a classifier with {type(self.fuse).__name__} needs saliency")
            features = self.fuse(features, saliency)
        trace: Trace = self.head(features)
        return trace

    def forward(self, images: Tensor, saliency: Tensor | None = None) -> Tensor:
        """Logits (N, classes) of images (N, 3, H, W) and saliency (N, 1, any, any); see ``trace``."""
        return self.trace(images, saliency).logits


def _build_fusion(fusion: Fusion, channels: int) -> SaliencyFusion | SaliencyAttention | None:
    match fusion:
        case Fusion.NONE:
            return None
        case Fusion.CONCAT:
            return SaliencyFusion(channels)
        case Fusion.ATTENTION:
            return SaliencyAttention(channels)


def _to_grid(saliency: Tensor, features: Tensor) -> Tensor:
    return F.interpolate(saliency, size=features.shape[-2:], mode="bilinear", align_corners=False)
