"""Image to symmetry logits."""

from pathlib import Path

from torch import Tensor, nn

from selcn.models.backbones import SQUEEZENETS, build_backbone, resize_images
from selcn.models.heads import EVERY_CHANNEL, PooledLinearHead, SqueezeNetHead, Trace


class SymmetryNetwork(nn.Module):
    """Is the lesion symmetric? Its saliency is what the lesion classifier is given.

    With a SqueezeNet the head is SqueezeNet's own and the target layer is the 3x3-expand activation of the last Fire
    module, the second half of the features; with any other backbone the head is pooled and linear and the target layer
    is the features.
    """

    def __init__(
        self,
        backbone: str,
        classes: int,
        *,
        weights: Path | str | None = None,
        dropout: float = 0.5,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Build the network.

        Args:
            backbone: a name that ``build_backbone`` knows.
            classes: 2 or 3.
            weights: the backbone's, see ``build_backbone``.
            dropout: share of features dropped in front of the last layer while training.
            size: width and height in pixels at which the network works; None for that of the images.

        Raises:
            ConfigError: the backbone or its weights cannot be had.
            ValueError: ``classes`` is neither 2 nor 3.
        """
        super().__init__()
        if classes not in (2, 3):
            raise ValueError(f"symmetry has 2 or 3 classes, not {classes}")
        self.size = size
        squeezenet = backbone in SQUEEZENETS
        self.backbone = build_backbone(backbone, weights)
        make_head = SqueezeNetHead if squeezenet else PooledLinearHead
        self.head: SqueezeNetHead | PooledLinearHead = make_head(self.backbone.channels, classes, dropout)
        self.target = slice(self.backbone.channels // 2, None) if squeezenet else EVERY_CHANNEL

    def trace(self, images: Tensor) -> Trace:
        """Logits (N, classes) of images (N, 3, H, W), with what saliency reads."""
        trace: Trace = self.head(self.backbone(resize_images(images, self.size)), self.target)
        return trace

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, 3, H, W)."""
        return self.trace(images).logits
