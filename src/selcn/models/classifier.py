"""Masked image, and saliency of earlier networks, to the logits of one label set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from selcn.labels import Fusion
from selcn.models.backbones import build_backbone, resize_images
from selcn.models.fusion import SaliencyFusion
from selcn.models.heads import EVERY_CHANNEL, HeadOutput, PooledLinearHead, SqueezeNetHead


class Classifier(nn.Module):
    """A classification network; symmetry, diagnosis and every other criterion are instances.

    The target layer of its own saliency is what the pooled linear head sees: the features, with `concat` the E-layer's
    ReLU output, with `attention` the attended features. With SqueezeNet's own head it is the 3x3-expand activation of
    the last Fire module, the second half of the features, as in the thesis.

    Args:
        backbone: a name that `build_backbone` knows.
        classes: how many.
        fusions: how the saliency maps of earlier networks enter; none for a network that reads none.
        head: `linear` (global average pool, linear) or `squeezenet` (1x1 convolution, ReLU, pool).
        weights: the backbone's, see `build_backbone`.
        dropout: share of features dropped before the last layer in training.
        size: width and height in pixels at which the network works; None for that of the images.

    Raises:
        ConfigError: the backbone or its weights cannot be had.
    """

    def __init__(
        self,
        backbone: str,
        classes: int,
        *,
        fusions: Sequence[Fusion] = (),
        head: Literal["linear", "squeezenet"] = "linear",
        weights: Path | str | None = None,
        dropout: float = 0.0,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.backbone = build_backbone(backbone, weights)
        channels = self.backbone.channels
        self.fuse = SaliencyFusion(channels, fusions) if fusions else None
        make_head = SqueezeNetHead if head == "squeezenet" else PooledLinearHead
        self.head: SqueezeNetHead | PooledLinearHead = make_head(channels, classes, dropout)
        self.target = slice(channels // 2, None) if head == "squeezenet" else EVERY_CHANNEL

    @property
    def channels(self) -> int:
        """Channels of the target layer."""
        return len(range(*self.target.indices(self.backbone.channels)))

    def trace(self, images: Tensor, saliency: Sequence[Tensor] = ()) -> HeadOutput:
        """Forward pass with what saliency reads.

        Args:
            images: masked images (N, 3, H, W) in [0, 1].
            saliency: maps (N, 1, any, any) in [0, 1], in the order of ``fusions``.

        Raises:
            ValueError: another number of maps than the network reads.
        """
        features = self.backbone(resize_images(images, self.size))  # (N, C, h, w)
        if self.fuse is not None:
            features = self.fuse(features, saliency)
        output: HeadOutput = self.head(features, self.target)
        return output

    def forward(self, images: Tensor, saliency: Sequence[Tensor] = ()) -> Tensor:
        """Logits (N, classes); see `trace`."""
        return self.trace(images, saliency).logits
