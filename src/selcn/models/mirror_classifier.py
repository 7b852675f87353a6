"""A lesion's measured symmetry to the logits of one label set, by a logistic model that is fitted, not trained."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from selcn.models.classifier import Classifier
from selcn.models.heads import EVERY_CHANNEL, HeadOutput, PooledLinearHead
from selcn.models.mirror import MEASURES, Mirror, Mirrored


class MirrorClassifier(Classifier):
    """Standardised measures of symmetry, and a linear layer; its map is the measured one, see `Mirror`.

    As features of a classifier, the first channel is the map, to which the linear layer gives no weight, and each other
    channel one measure, the same at all positions. Without a region to mirror the logits are NaN: undefined.

    Args:
        classes: number of classes.
        size: width and height in pixels to which images are resized; None for no resizing.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, classes: int, *, size: tuple[int, int] | None = None) -> None:
        nn.Module.__init__(self)  # not that of a classifier, which builds a backbone
        self.size, self.fuse, self.target = size, None, EVERY_CHANNEL
        self.mirror = Mirror()
        self.register_buffer("mean", torch.zeros(len(MEASURES)))
        self.register_buffer("deviation", torch.ones(len(MEASURES)))
        self.head = PooledLinearHead(1 + len(MEASURES), classes, 0.0)

    @property
    def channels(self) -> int:
        """Channels of the target layer: the map and the measures."""
        return 1 + len(MEASURES)

    @property
    def body(self) -> nn.Module:
        """What is not fitted: the measuring."""
        assert self.mirror is not None
        return self.mirror

    def features(self, images: Tensor, mask: Tensor | None = None, measured: Mirrored | None = None) -> Tensor:
        """The map, the standardised measures, and whether there is a region to mirror, a channel each.

        Args:
            images: (N, 3, H, W) in [0, 1].
            mask: of the lesion (N, 1, H, W), 0 or 1; not read where ``measured`` is given.
            measured: as `measure` returns it.

        Raises:
            ValueError: no mask is given.
        """
        found = self.measure(images, mask) if measured is None else measured
        standard = torch.where(found.valid[:, None], (found.measures - self.mean) / self.deviation, 0.0)
        beside = torch.cat([standard, found.valid[:, None].to(standard)], dim=1)
        return torch.cat([found.map, beside[:, :, None, None].expand(-1, -1, *found.map.shape[2:])], dim=1)

    def read_out(
        self,
        features: Tensor,
        saliency: Sequence[Tensor] = (),  # noqa: ARG002
        metadata: Tensor | None = None,  # noqa: ARG002
    ) -> HeadOutput:
        """Logits, NaN without a region to mirror, and the map.

        Args:
            features: (N, C, h, w), see `features`.
            saliency: not read.
            metadata: not read.
        """
        output: HeadOutput = self.head(features[:, :-1])
        return output._replace(logits=torch.where(features[:, -1:, 0, 0] > 0, output.logits, torch.nan))

    def set_model(self, mean: Tensor, deviation: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Set the logistic model.

        Args:
            mean: of each measure (K,), in the order of `MEASURES`.
            deviation: standard deviation of each measure (K,), above 0.
            weight: of the standardised measures (classes, K).
            bias: (classes,).
        """
        with torch.no_grad():
            self.mean.copy_(mean)
            self.deviation.copy_(deviation)
            self.head.linear.weight.copy_(torch.cat([torch.zeros(len(weight), 1), weight], dim=1))  # type: ignore[operator, union-attr]
            self.head.linear.bias.copy_(bias)  # type: ignore[operator, union-attr]
