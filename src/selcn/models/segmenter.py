"""Segmentation networks: images to lesion logits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selcn.data.views import FLIPS
from selcn.errors import ConfigError
from selcn.models.architectures import OWN_ARCHITECTURES, PLAIN_UNET
from selcn.models.backbones import Normalise, resize_images
from selcn.models.weights import IMAGENET, load_pretrained, unknown_name

# DPT works at one image size only, PAN not below 128 pixels.
ARCHITECTURES = (*(name for name in smp.MODEL_ARCHITECTURES_MAPPING if name not in ("dpt", "pan")), *OWN_ARCHITECTURES)

_STRIDE = 32  # of the deepest features of any encoder
_TIMM = "tu-"  # segmentation_models_pytorch's prefix for encoders from timm
_ENCODER_HEADS = ("fc", "classifier", "last_linear", "head")


class Segmenter(nn.Module):
    """A network of segmentation_models_pytorch that takes images of any size and carries its normalisation.

    DeepLabV3+ pools to one value a channel, so its batch norm cannot be trained on a batch of a single image.
    """

    def __init__(
        self,
        architecture: str,
        encoder: str,
        *,
        decoder: Sequence[int] | None = None,
        weights: Path | str | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Build an architecture on an encoder.

        Args:
            architecture: a name of ``ARCHITECTURES``, in any case.
            encoder: an encoder's name in segmentation_models_pytorch, or ``tu-<name>`` for one from timm; not read by
                ``plain-unet``, which has its own.
            decoder: channels of the decoder's stages, from the deepest on, of an architecture that has such; None for
                its own.
            weights: of the encoder: None for random ones, ``"imagenet"`` for the library's download, or a
                ``.safetensors`` file with the encoder's own keys, such as a plain state dict of timm or torchvision.
            size: width and height in pixels to which images are resized; None for no resizing.

        Raises:
            ConfigError: an unknown name, an encoder the architecture cannot use, or weights that are unavailable.
        """
        super().__init__()
        _check_names(architecture, encoder, weights)
        self.size = size
        self.network = _create(architecture.lower(), encoder, decoder, weights)
        self.normalise = _normalise(encoder, weights)

    @property
    def body(self) -> nn.Module:
        """What weights of another task may be taken for: the encoder."""
        encoder: nn.Module = self.network.encoder
        return encoder

    def forward(self, images: Tensor) -> Tensor:
        """Lesion logits (N, 1, H, W).

        Args:
            images: (N, 3, H, W) in [0, 1], any H and W.
        """
        return self.decode(self.encode(images), (images.shape[-1], images.shape[-2]))

    def encode(self, images: Tensor) -> list[Tensor]:
        """The encoder's features, each (N, C_i, h_i, w_i), from the finest to the deepest.

        Args:
            images: (N, 3, H, W) in [0, 1], any H and W.
        """
        resized = resize_images(images, self.size)
        height, width = resized.shape[-2:]
        # Edge pixels are repeated to the right and below: any size can be padded so, and no border is invented.
        padded = F.pad(self.normalise(resized), (0, -width % _STRIDE, 0, -height % _STRIDE), mode="replicate")
        features: list[Tensor] = list(self.network.encoder(padded))
        return features

    def decode(self, features: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Lesion logits (N, 1, H, W).

        Args:
            features: as `encode` returns them.
            size: width and height of the images in pixels.
        """
        width, height = self.size or size
        logits: Tensor = self.network.segmentation_head(self.network.decoder(features))[..., :height, :width]
        # Antialiased resizing has no 16-bit kernel on a CPU, and the loss wants 32 bits.
        return resize_images(logits.to(torch.promote_types(logits.dtype, torch.float32)), size)


def lesion_probability(segmenter: nn.Module, images: Tensor, *, flips: bool = False) -> Tensor:
    """Probability that a pixel is lesion (N, 1, H, W).

    Args:
        segmenter: images to logits, as `Segmenter`.
        images: (N, 3, H, W) in [0, 1].
        flips: whether it is averaged over the images, their mirrors, their flips and both.
    """
    upright: Tensor = segmenter(images).sigmoid()
    if not flips:
        return upright
    others = [segmenter(images.flip(axes)).sigmoid().flip(axes) for axes in FLIPS]
    return torch.stack([upright, *others]).mean(0)


def _check_names(architecture: str, encoder: str, weights: Path | str | None) -> None:
    if architecture.lower() not in ARCHITECTURES:
        raise unknown_name("architecture", architecture, ARCHITECTURES)
    if architecture.lower() == PLAIN_UNET:
        if weights is not None:
            raise ConfigError(f"architecture {PLAIN_UNET}: has no pretrained encoder; set weights to null")
        return
    # The library's own "timm-" names are deprecated in favour of "tu-".
    known = [name for name in smp.encoders.get_encoder_names() if not name.startswith("timm-")]
    from_timm = encoder.startswith(_TIMM) and timm.is_model(encoder.removeprefix(_TIMM))
    if encoder not in known and not from_timm:
        raise unknown_name("encoder", encoder, [*known, *(_TIMM + name for name in timm.list_models())])


def _create(architecture: str, encoder: str, decoder: Sequence[int] | None, weights: Path | str | None) -> Any:  # noqa: ANN401  untyped library
    pretrained = _pretrained(encoder, weights)
    more = {"decoder_channels": tuple(decoder)} if decoder else {}
    try:
        if architecture in OWN_ARCHITECTURES:
            network: Any = OWN_ARCHITECTURES[architecture](encoder, pretrained)
        else:
            network = smp.create_model(architecture, encoder, encoder_weights=pretrained, classes=1, **more)
    except Exception as error:
        # A failed download may be both, as in some releases of huggingface_hub.
        if weights == IMAGENET and (isinstance(error, OSError) or not isinstance(error, ValueError)):
            raise ConfigError(
                f"no ImageNet weights for encoder {encoder!r} ({type(error).__name__}: {error}); "
                "check the connection, or give a .safetensors file"
            ) from error
        raise ConfigError(f"architecture {architecture!r} cannot use encoder {encoder!r}: {error}") from error
    if weights not in (None, IMAGENET):
        load_pretrained(network.encoder, weights, head=_ENCODER_HEADS, extra=True)
    return network


def _pretrained(encoder: str, weights: Path | str | None) -> str | bool | None:
    if weights != IMAGENET:
        return None
    return True if encoder.startswith(_TIMM) else IMAGENET


def _normalise(encoder: str, weights: Path | str | None) -> Normalise:
    # Of weights in a file the statistics of timm's encoder; those of the library's own would have to be downloaded, and
    # nearly all of them have ImageNet's.
    if weights is None or (weights != IMAGENET and not encoder.startswith(_TIMM)):
        return Normalise()
    statistics = smp.encoders.get_preprocessing_params(encoder)
    return Normalise(statistics["mean"], statistics["std"])
