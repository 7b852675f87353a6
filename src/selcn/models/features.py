"""Distance of an image's features from those of the training images (after Lee et al. 2018, arXiv:1807.03888)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from selcn.models.heads import HeadOutput
from selcn.models.timm_backbones import TimmFeatures

COMPONENTS = 32
_ROWS_A_COMPONENT = 5


class FeatureDistance(nn.Module):
    """Mahalanobis distance along the main directions of the training features, per direction: sqrt(mean(z^2)).

    z are the centred features along the principal directions, in standard deviations; about 1 for images like those it
    was fitted to.

    Args:
        channels: C, of the features.
        components: number of directions D.
    """

    def __init__(self, channels: int, components: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.whitening: Tensor
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("whitening", torch.zeros(channels, components))

    def forward(self, features: Tensor) -> Tensor:
        """Distances (N,).

        Args:
            features: (N, C).
        """
        return ((features - self.mean) @ self.whitening).square().mean(dim=1).sqrt()

    @classmethod
    def fit(cls, features: Tensor, components: int = COMPONENTS) -> "FeatureDistance":
        """Fit mean, directions and scales by singular value decomposition.

        Args:
            features: (n, C) of images such as are to be expected; a bundle takes half the groups of the fold that the
                member was not trained on.
            components: largest number of directions; fewer are kept where n is small or features are degenerate.
        """
        wanted = max(1, min(components, len(features) // _ROWS_A_COMPONENT, features.shape[1]))
        mean = features.mean(dim=0)
        _, scale, directions = torch.linalg.svd(features - mean, full_matrices=False)
        spread = scale / max(1, len(features) - 1) ** 0.5
        kept = max(1, min(wanted, int((spread > 1e-6 * spread[0]).sum())))
        distance = cls(features.shape[1], kept)
        distance.mean.copy_(mean)
        distance.whitening.copy_(directions[:kept].T / spread[:kept].clamp(min=torch.finfo(spread.dtype).tiny))
        return distance


def pooled_features(output: HeadOutput) -> Tensor:
    """The target layer's activations averaged over positions (N, K).

    Args:
        output: of N images.
    """
    return output.activations.mean((2, 3))


@contextmanager
def watch_earlier(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collect features of the stage before a classifier's last one, averaged over positions (N, C), a pass an entry.

    Args:
        network: a classifier; of one without such a stage, as where features were stored, nothing is collected.
    """
    found: list[Tensor] = []
    layer = earlier_layer(network)
    if layer is None:
        yield found
        return
    body = network.backbone.body  # type: ignore[union-attr]  # a classifier, or there would be no such stage

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        found.append(_averaged(body, output))

    handle = layer.register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()


def earlier_layer(network: nn.Module) -> nn.Module | None:
    """The stage before the last one of a classifier's backbone, such as `layer3` of a ResNet; None where there is none.

    Args:
        network: any network.
    """
    body = getattr(getattr(network, "backbone", None), "body", None)
    if isinstance(body, TimmFeatures):
        named = [one["module"] for one in body.network.feature_info if one.get("module")]
        modules: dict[str, nn.Module] = dict(body.network.named_modules())
        return modules.get(named[-2]) if len(named) > 1 else None
    while isinstance(body, nn.Module) and len(stages := list(body.children())) > 0:
        if len(stages) > 1:
            return stages[-2]
        (body,) = stages
    return None


def _averaged(body: object, output: Tensor) -> Tensor:
    """Features of maps (N, C, h, w) or tokens (N, L, C), averaged over positions."""
    if output.ndim == 3:
        return output.mean(1)
    maps = body.as_map(output, (0, 0)) if isinstance(body, TimmFeatures) else output
    return maps.mean((2, 3))
