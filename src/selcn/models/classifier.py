"""Masked image, and saliency of earlier networks, to the logits of one label set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selcn.labels import Fusion
from selcn.labels.metadata import WIDTH, places
from selcn.models.backbones import build_backbone, resize_images
from selcn.models.fusion import SaliencyFusion
from selcn.models.heads import EVERY_CHANNEL, HeadOutput, PooledLinearHead, SqueezeNetHead
from selcn.models.mirror import MEASURES, Mirror, Mirrored


class MetadataBranch(nn.Module):
    """Metadata to an addend of the logits: linear, ReLU, linear, as if concatenated to the pooled features of the head.

    The logits' gradient with respect to the image's features does not depend on it, so Grad-CAM++ stays in closed form.
    The last layer begins at zero: the network starts as its twin without metadata.

    Args:
        fields: of `selcn.labels.metadata`, that it reads.
        classes: number of classes.
        width: of the hidden layer.
    """

    def __init__(self, fields: Sequence[str], classes: int, width: int = 32) -> None:
        super().__init__()
        self.places = places(fields)
        self.hidden, self.last = nn.Linear(len(self.places), width), nn.Linear(width, classes, bias=False)
        nn.init.zeros_(self.last.weight)

    def forward(self, metadata: Tensor) -> Tensor:
        """The addend of the logits (N, classes).

        Args:
            metadata: (N, `selcn.labels.metadata.WIDTH`), zeros where values are missing.
        """
        addend: Tensor = self.last(F.relu(self.hidden(metadata[:, self.places])))
        return addend


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
        size: width and height in pixels to which images are resized; None for no resizing or, of a backbone that is
            built for one size, its own.
        metadata: fields of `selcn.labels.metadata` that it reads; empty for none.
        measures: whether the lesion's measured symmetry, standardised, stands beside the features of a linear head.
        mask: whether images have a fourth channel, the lesion's mask.
        reduction: see `build_backbone`.

    Raises:
        ConfigError: the backbone is unknown, cannot take the size, or its weights are unavailable.
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
        metadata: Sequence[str] = (),
        measures: bool = False,
        mask: bool = False,
        reduction: int | None = None,
    ) -> None:
        super().__init__()
        self.backbone = build_backbone(backbone, weights, size, mask=mask, reduction=reduction)
        self.size = self.backbone.size
        channels = self.backbone.channels
        self.fuse = SaliencyFusion(channels, fusions) if fusions else None
        make_head = SqueezeNetHead if head == "squeezenet" else PooledLinearHead
        beside = len(MEASURES) if measures else 0
        self.mirror = Mirror() if measures else None
        self.standardise = nn.BatchNorm1d(beside, affine=False) if measures else None
        self.head: SqueezeNetHead | PooledLinearHead = make_head(channels + beside, classes, dropout)
        self.metadata = MetadataBranch(metadata, classes) if metadata else None
        self.target = slice(channels // 2, None) if head == "squeezenet" else EVERY_CHANNEL
        if measures:
            self.target = slice(0, channels)

    @property
    def channels(self) -> int:
        """Channels of the target layer."""
        return len(range(*self.target.indices(self.backbone.channels)))

    @property
    def body(self) -> nn.Module:
        """What weights of another task may be taken for: all but fusion and head."""
        return self.backbone.body

    def trace(
        self,
        images: Tensor,
        saliency: Sequence[Tensor] = (),
        metadata: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> HeadOutput:
        """Forward pass that keeps what a saliency map is computed from.

        Args:
            images: masked images (N, 3, H, W) in [0, 1], or (N, 4, H, W) with the mask.
            saliency: maps (N, 1, any, any) in [0, 1], in the order of ``fusions``.
            metadata: (N, `selcn.labels.metadata.WIDTH`); None or empty where all is missing.
            mask: of the lesion (N, 1, H, W), 0 or 1; read where symmetry is measured.

        Raises:
            ValueError: the number of maps differs from that of ``fusions``, or the mask is missing.
        """
        return self.read_out(self.features(images, mask), saliency, metadata)

    def features(self, images: Tensor, mask: Tensor | None = None, measured: Mirrored | None = None) -> Tensor:
        """Unpooled features of the backbone (N, C, h, w); where symmetry is measured, each measure is one more channel.

        Args:
            images: masked images (N, 3, H, W) in [0, 1].
            mask: of the lesion (N, 1, H, W), 0 or 1; read where symmetry is measured and ``measured`` is not given.
            measured: as `measure` returns it, of these images or of their mirror images, whose symmetry is the same.

        Raises:
            ValueError: symmetry is measured and the mask is missing.
        """
        features: Tensor = self.backbone(resize_images(images, self.size))
        if self.mirror is None:
            return features
        found = self.measure(images, mask) if measured is None else measured
        assert self.standardise is not None
        # Zeros, the mean of the training images, where there is no region to mirror.
        standard = torch.where(found.valid[:, None], self.standardise(found.measures), 0.0)
        return torch.cat([features, standard[:, :, None, None].expand(-1, -1, *features.shape[2:])], dim=1)

    def measure(self, images: Tensor, mask: Tensor | None) -> Mirrored:
        """Measured symmetry, not yet standardised, of a network that measures it.

        Args:
            images: masked images (N, 3, H, W) in [0, 1], or (N, 4, H, W) with the mask.
            mask: of the lesion (N, 1, H, W), 0 or 1.

        Raises:
            ValueError: the mask is missing.
        """
        if mask is None:
            raise ValueError("symmetry is measured inside a mask; give one")
        assert self.mirror is not None
        with torch.autocast(images.device.type, enabled=False):  # in bfloat16 measures are off by percents
            found: Mirrored = self.mirror(
                resize_images(images[:, :3], self.size).float(), resize_images(mask, self.size).float()
            )
        return found

    def read_out(self, features: Tensor, saliency: Sequence[Tensor] = (), metadata: Tensor | None = None) -> HeadOutput:
        """Fusion and head, with what a saliency map is computed from.

        Args:
            features: (N, C, h, w), see `features`.
            saliency: maps (N, 1, any, any) in [0, 1], in the order of ``fusions``.
            metadata: (N, `selcn.labels.metadata.WIDTH`); None or empty where all is missing.

        Raises:
            ValueError: the number of maps differs from that of ``fusions``, or the mask is missing.
        """
        if self.fuse is not None:
            own, beside = features[:, : self.backbone.channels], features[:, self.backbone.channels :]
            features = torch.cat([self.fuse(own, saliency), beside], dim=1) if self.mirror else self.fuse(own, saliency)
        output: HeadOutput = self.head(features, self.target)
        if self.metadata is None:
            return output
        if metadata is None or not metadata.numel():
            metadata = output.logits.new_zeros(len(output.logits), WIDTH)
        return output._replace(logits=output.logits + self.metadata(metadata))

    def forward(
        self,
        images: Tensor,
        saliency: Sequence[Tensor] = (),
        metadata: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Logits (N, classes).

        Args:
            images: masked images (N, 3, H, W) in [0, 1], or (N, 4, H, W) with the mask.
            saliency: maps (N, 1, any, any) in [0, 1], in the order of ``fusions``.
            metadata: (N, `selcn.labels.metadata.WIDTH`); None or empty where all is missing.
            mask: of the lesion (N, 1, H, W), 0 or 1; read where symmetry is measured.

        Raises:
            ValueError: the number of maps differs from that of ``fusions``, or the mask is missing.
        """
        return self.trace(images, saliency, metadata, mask).logits
