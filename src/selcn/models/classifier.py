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
    """A classification network for any label set: symmetry, diagnosis or another criterion.

    Its own saliency is taken at the target layer, the input of the pooled linear head: the backbone's features; with
    `concat` the E-layer's ReLU output, with `attention` the attended features. With SqueezeNet's own head it is the
    3x3-expand activation of the last Fire module, the second half of the features, as in the thesis.

    Args:
        backbone: a name that `build_backbone` knows.
        classes: number of classes.
        fusions: how the saliency map of each earlier network enters; empty for a network that reads none.
        head: `linear` (global average pool, linear) or `squeezenet` (1x1 convolution, ReLU, pool).
        weights: of the backbone, see `build_backbone`.
        dropout: share of features dropped before the last layer in training, in [0, 1).
        size: width and height in pixels to which images are resized; None for no resizing.
        mask: whether images have a fourth channel, the lesion's mask.

    Raises:
        ConfigError: the backbone is unknown or its weights are unavailable.
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
        mask: bool = False,
    ) -> None:
        super().__init__()
        self.size = size
        self.backbone = build_backbone(backbone, weights, mask=mask)
        channels = self.backbone.channels
        self.fuse = SaliencyFusion(channels, fusions) if fusions else None
        make_head = SqueezeNetHead if head == "squeezenet" else PooledLinearHead
        self.head: SqueezeNetHead | PooledLinearHead = make_head(channels, classes, dropout)
        self.target = slice(channels // 2, None) if head == "squeezenet" else EVERY_CHANNEL

    @property
    def channels(self) -> int:
        """Channels of the target layer."""
        return len(range(*self.target.indices(self.backbone.channels)))

    @property
    def body(self) -> nn.Module:
        """What weights of another task may be taken for: all but fusion and head."""
        return self.backbone.body

    def trace(self, images: Tensor, saliency: Sequence[Tensor] = ()) -> HeadOutput:
        """Forward pass that keeps what a saliency map is computed from.

        Args:
            images: masked images (N, 3, H, W) in [0, 1], or (N, 4, H, W) with the mask.
            saliency: maps (N, 1, any, any) in [0, 1], in the order of ``fusions``.

        Raises:
            ValueError: the number of maps differs from that of ``fusions``.
        """
        features = self.backbone(resize_images(images, self.size))  # (N, C, h, w)
        if self.fuse is not None:
            features = self.fuse(features, saliency)
        output: HeadOutput = self.head(features, self.target)
        return output

    def forward(self, images: Tensor, saliency: Sequence[Tensor] = ()) -> Tensor:
        """Logits (N, classes).

        Args:
            images: masked images (N, 3, H, W) in [0, 1], or (N, 4, H, W) with the mask.
            saliency: maps (N, 1, any, any) in [0, 1], in the order of ``fusions``.

        Raises:
            ValueError: the number of maps differs from that of ``fusions``.
        """
        return self.trace(images, saliency).logits
