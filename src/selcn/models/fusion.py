"""How saliency of earlier networks enters a classifier: the thesis' E-layer, and attention."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selcn.labels import Fusion


class SaliencyConcat(nn.Module):
    """The thesis' "E-layer": saliency as further channels, then 1x1 convolution back to C, batch norm, ReLU.

    The convolution is initialised as the identity on the features, with small random weights for the saliency. The
    random initialisation of the thesis (`SaliencyFusion.start`) mixes all channels and destroys a pretrained backbone's
    features; from the identity the network starts as its standalone twin (features after a ReLU or SiLU stay
    informative through batch norm and ReLU) and learns how much saliency to admit.

    Args:
        channels: C, of the features.
        maps: number of saliency maps.
    """

    def __init__(self, channels: int, maps: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels + maps, channels, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        with torch.no_grad():
            self.conv.weight[:, :channels, 0, 0] = torch.eye(channels)
            self.conv.weight[:, channels:].normal_(std=0.01)

    def forward(self, features: Tensor, saliency: Sequence[Tensor]) -> Tensor:
        """Fused features (N, C, h, w).

        Args:
            features: (N, C, h, w).
            saliency: maps (N, 1, any, any) in [0, 1].
        """
        maps = [_to_grid(one, features) for one in saliency]  # (N, 1, h, w) each
        return F.relu(self.norm(self.conv(torch.cat([features, *maps], dim=1))))


class SaliencyAttention(nn.Module):
    """Saliency to C channels, 1x1 convolution, batch norm, sigmoid: a factor in (0, 1) on every feature.

    Args:
        channels: C, of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factor = nn.Sequential(
            nn.Conv2d(1, channels, kernel_size=1),
            nn.Conv2d(channels, channels, kernel_size=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor, saliency: Tensor) -> Tensor:
        """Attended features (N, C, h, w).

        Args:
            features: (N, C, h, w).
            saliency: (N, 1, any, any) in [0, 1].
        """
        factor: Tensor = self.factor(_to_grid(saliency, features))  # (N, C, h, w)
        return features * factor


class SaliencyFusion(nn.Module):
    """All maps that a classifier reads: first those by attention, then those by concatenation.

    Args:
        channels: C, of the features.
        fusions: how each map enters, in the order in which the maps are given.
    """

    def __init__(self, channels: int, fusions: Sequence[Fusion]) -> None:
        super().__init__()
        self.fusions = tuple(fusions)
        concatenated = self.fusions.count(Fusion.CONCAT)
        attended = self.fusions.count(Fusion.ATTENTION)
        self.attention = nn.ModuleList(SaliencyAttention(channels) for _ in range(attended))
        self.concat = SaliencyConcat(channels, concatenated) if concatenated else None

    def start(self, how: Literal["identity", "random"]) -> None:
        """Initialise the E-layer's convolution, in place: as it is built, or as PyTorch does any convolution.

        Args:
            how: `identity`, which leaves it as it is, or `random`, as in the thesis.
        """
        if how == "random" and self.concat is not None:
            self.concat.conv.reset_parameters()

    def forward(self, features: Tensor, saliency: Sequence[Tensor]) -> Tensor:
        """Features (N, C, h, w) fused with all maps.

        Args:
            features: (N, C, h, w).
            saliency: maps (N, 1, any, any) in [0, 1], in the order of ``fusions``.

        Raises:
            ValueError: the number of maps differs from that of ``fusions``.
        """
        if len(saliency) != len(self.fusions):
            raise ValueError(f"the network reads {len(self.fusions)} saliency maps, {len(saliency)} are given")
        by_kind = {
            kind: [one for one, how in zip(saliency, self.fusions, strict=True) if how is kind] for kind in Fusion
        }
        for attend, one in zip(self.attention, by_kind[Fusion.ATTENTION], strict=True):
            features = attend(features, one)
        return features if self.concat is None else self.concat(features, by_kind[Fusion.CONCAT])


def _to_grid(saliency: Tensor, features: Tensor) -> Tensor:
    return F.interpolate(saliency, size=features.shape[-2:], mode="bilinear", align_corners=False)
