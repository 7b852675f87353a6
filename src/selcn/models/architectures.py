"""The plain U-Net and the DeepLabV3+ of the thesis, as networks with an encoder, a decoder and a segmentation head."""

from collections.abc import Callable
from itertools import pairwise

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.decoders.deeplabv3.decoder import ASPP
from torch import Tensor, nn

RATES = (6, 12, 18)
"""Dilations of the ASPP of the thesis' DeepLabV3+, at output stride 16."""
UNET_CHANNELS = (64, 128, 256, 512, 1024)
_WIDTH, _SHORTCUT = 256, 48  # channels of DeepLabV3+'s decoder, and of its high-resolution features in it


class PlainUnet(nn.Module):
    """The U-Net of Ronneberger et al. 2015 (arXiv:1505.04597), padded and with batch norm: 31.0 million parameters.

    It has no pretrained encoder.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _UnetEncoder()
        self.decoder = _UnetDecoder()
        self.segmentation_head = nn.Conv2d(UNET_CHANNELS[0], 1, 1)


class ThesisDeepLab(nn.Module):
    """DeepLabV3+ (Chen et al. 2018, arXiv:1802.02611) with full convolutions in ASPP and decoder, as in MB-DCNN.

    With the encoder tu-xception65 it has 54.7 million parameters.

    Args:
        encoder: a name that segmentation_models_pytorch knows, of an encoder that can be dilated.
        weights: of the encoder, as segmentation_models_pytorch takes them.
    """

    def __init__(self, encoder: str, weights: str | bool | None) -> None:
        super().__init__()
        self.encoder = smp.encoders.get_encoder(encoder, in_channels=3, weights=weights, output_stride=16)
        self.decoder = _DeepLabDecoder(self.encoder.out_channels)
        self.segmentation_head = nn.Sequential(nn.Conv2d(_WIDTH, 1, 1), nn.UpsamplingBilinear2d(scale_factor=4))


class _UnetEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        channels = (3, *UNET_CHANNELS)
        self.levels = nn.ModuleList(_twice(*pair) for pair in pairwise(channels))
        self.pool = nn.MaxPool2d(2)

    def forward(self, images: Tensor) -> list[Tensor]:
        features = [self.levels[0](images)]
        for level in self.levels[1:]:
            features.append(level(self.pool(features[-1])))
        return features


class _UnetDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        pairs = list(zip(UNET_CHANNELS[:0:-1], UNET_CHANNELS[-2::-1], strict=True))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(deep, fine, 2, stride=2) for deep, fine in pairs)
        self.levels = nn.ModuleList(_twice(deep, fine) for deep, fine in pairs)

    def forward(self, features: list[Tensor]) -> Tensor:
        *finer, deep = features
        for enlarge, level, fine in zip(self.enlarge, self.levels, reversed(finer), strict=True):
            deep = level(torch.cat([fine, enlarge(deep)], dim=1))
        return deep


class _DeepLabDecoder(nn.Module):
    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.aspp = ASPP(channels[-1], _WIDTH, RATES, separable=False, dropout=0.5)
        self.enlarge = nn.UpsamplingBilinear2d(scale_factor=4)
        self.shortcut = _convolution(channels[2], _SHORTCUT, 1)
        self.fuse = nn.Sequential(
            _convolution(_WIDTH + _SHORTCUT, _WIDTH, 3),
            nn.Dropout(0.5),
            _convolution(_WIDTH, _WIDTH, 3),
            nn.Dropout(0.1),
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        joined = torch.cat([self.enlarge(self.aspp(features[-1])), self.shortcut(features[2])], dim=1)
        fused: Tensor = self.fuse(joined)
        return fused


def _convolution(channels: int, wanted: int, side: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, wanted, side, padding=side // 2, bias=False), nn.BatchNorm2d(wanted), nn.ReLU(inplace=True)
    )


def _twice(channels: int, wanted: int) -> nn.Sequential:
    return nn.Sequential(_convolution(channels, wanted, 3), _convolution(wanted, wanted, 3))


PLAIN_UNET, THESIS_DEEPLAB = "plain-unet", "thesis-deeplabv3plus"
OWN_ARCHITECTURES: dict[str, Callable[[str, str | bool | None], nn.Module]] = {
    PLAIN_UNET: lambda _encoder, _weights: PlainUnet(),
    THESIS_DEEPLAB: ThesisDeepLab,
}
"""By name: from an encoder's name and its weights, which the plain U-Net does not have, to a network."""
