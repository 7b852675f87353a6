"""Backbones by name: images to unpooled features."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
import torchvision.models as tv
from torch import Tensor, nn

from selcn.errors import ConfigError
from selcn.models.timm_backbones import build_timm, check_size, input_size, no_map
from selcn.models.weights import IMAGENET, download_or, load_pretrained, unknown_name

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
SQUEEZENETS = ("squeezenet1_0", "squeezenet1_1")
TORCHVISION = "torchvision/"

# At two image sizes the channels stay and the positions grow; no network here needs less than 75 pixels.
_PROBES = ((96, 96), (128, 160))


class Normalise(nn.Module):
    """Channel-wise normalisation, saved with the weights that were trained on it.

    Args:
        mean: of each RGB channel, for images in [0, 1].
        std: standard deviation of each RGB channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W).

        Args:
            images: (N, 3, H, W) in [0, 1].
        """
        return (images - self.mean) / self.std


class Backbone(nn.Module):
    """Images (N, 3, H, W) in [0, 1], or (N, 4, H, W) with a mask, to unpooled features (N, channels, h, w).

    Args:
        body: normalised images to features.
        normalise: applied to the images first.
        channels: of the features.
        size: width and height in pixels that images must be resized to; None for any size.
    """

    def __init__(
        self, body: nn.Module, normalise: Normalise, channels: int, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.body = body
        self.channels = channels
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """Unpooled features (N, channels, h, w).

        Args:
            images: (N, 3, H, W) in [0, 1]; a fourth channel, 0 or 1, is not normalised.
        """
        colours, mask = images[:, :3], images[:, 3:]
        seen = self.normalise(colours)
        features: Tensor = self.body(torch.cat([seen, mask], dim=1) if mask.shape[1] else seen)
        return features


class StoredFeatures(Backbone):
    """In place of a backbone: takes its features (N, channels, h, w), which were computed before, and returns them.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Identity(), nn.Identity(), channels)  # type: ignore[arg-type]  # nothing is normalised


def from_torchvision(name: str) -> bool:
    """Whether a backbone is torchvision's, not timm's.

    Args:
        name: that `build_backbone` knows.
    """
    return name in SQUEEZENETS or name.startswith(TORCHVISION)


def normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the RGB channels of the images that a backbone takes.

    Args:
        name: that `build_backbone` knows.
    """
    if from_torchvision(name):
        return IMAGENET_MEAN, IMAGENET_STD
    known = timm.get_pretrained_cfg(name)
    return (tuple(known.mean), tuple(known.std)) if known else (IMAGENET_MEAN, IMAGENET_STD)


def resize_images(images: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Images resized bilinearly, with antialiasing where they shrink.

    Args:
        images: (N, C, H, W).
        size: width and height in pixels; None leaves the images unchanged.

    Returns:
        (N, C, height, width).
    """
    if size is None or images.shape[-2:] == size[::-1]:
        return images
    return F.interpolate(images, size=size[::-1], mode="bilinear", align_corners=False, antialias=True)


def build_backbone(
    name: str,
    weights: Path | str | None = None,
    size: tuple[int, int] | None = None,
    *,
    mask: bool = False,
    reduction: int | None = None,
) -> Backbone:
    """Build the network called ``name`` without its head.

    Args:
        name: ``squeezenet1_0``, ``squeezenet1_1``, ``torchvision/<name>``, or a timm name.
        weights: None for random ones, ``"imagenet"`` for the library's download, or a ``.safetensors`` file with the
            library's own keys; position embeddings are resampled to ``size``.
        size: width and height in pixels to which images are resized; None for that of the images or, of a network built
            for one size, its own.
        mask: whether images have a fourth channel, the lesion's mask.
        reduction: pixels of the image's width to one position of the features; the network ends behind its last stage
            of that many. None for the whole network.

    Raises:
        ConfigError: an unknown name, a network without an (N, C, h, w) feature map, a size that the network cannot
            take, no stage of that reduction, or weights that are unavailable.
    """
    if reduction and (from_torchvision(name) or input_size(name)):
        raise ConfigError(
            f"backbone {name!r}: only timm's networks for any image size end behind a stage; leave reduction out"
        )
    if from_torchvision(name):
        body: nn.Module = _from_torchvision(name, weights)
        normalise, taken, channels = Normalise(), size, _count_channels(name, body)
    elif not timm.is_model(name):
        known_names = [*SQUEEZENETS, *timm.list_models(), *(TORCHVISION + one for one in tv.list_models(module=tv))]
        raise unknown_name("backbone", name, known_names)
    else:
        own = input_size(name)
        taken = size or own
        known = check_size(name, taken) if own and taken else None
        body, mean, std = build_timm(name, weights, taken if own else None, reduction)
        normalise = Normalise(mean, std)
        channels = known or _count_channels(name, body)
    if mask:
        _add_channel(name, body)
    return Backbone(body, normalise, channels, taken)


def _add_channel(name: str, body: nn.Module) -> None:
    """Give the first convolution a fourth input channel, of weight 0: it starts as the network without it."""
    first = next((one for one in body.modules() if isinstance(one, nn.Conv2d) and one.in_channels == 3), None)
    if first is None or first.groups != 1:
        raise ConfigError(f"backbone {name!r} has no convolution of 3 channels for the mask; set input to image")
    first.weight = nn.Parameter(torch.cat([first.weight.detach(), torch.zeros_like(first.weight[:, :1])], dim=1))
    first.in_channels = 4


def _from_torchvision(name: str, weights: Path | str | None) -> nn.Module:
    plain = name.removeprefix(TORCHVISION)
    known = tv.list_models(module=tv)
    if plain not in known:
        raise unknown_name("backbone", name, [TORCHVISION + other for other in known])
    network = download_or(weights, name, lambda wanted: tv.get_model(plain, weights="DEFAULT" if wanted else None))
    body, head = _cut(name, network)
    if weights not in (None, IMAGENET):
        load_pretrained(network, weights, head=head)
    return body


def _cut(name: str, network: nn.Module) -> tuple[nn.Module, list[str]]:
    """The modules before the pooling, in order, and the names of the others."""
    children = list(network.named_children())
    names = [child for child, _ in children]
    if isinstance(network, tv.SqueezeNet):
        end = names.index("classifier")
    elif "avgpool" in names:
        end = names.index("avgpool")
    else:
        raise no_map(name, "it has no average pooling to cut at")
    return nn.Sequential(OrderedDict(children[:end])), names[end:]


def _count_channels(name: str, body: nn.Module) -> int:
    body.eval()
    try:
        with torch.no_grad():
            small, large = (body(torch.zeros(1, 3, height, width)).shape for height, width in _PROBES)
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise no_map(name, f"it fails on an image of {_PROBES[0]}") from error
    finally:
        body.train()
    same_channels = len(small) == len(large) == 4 and small[1] == large[1]
    if not (same_channels and small[2] < large[2] and small[3] < large[3]):
        raise no_map(name, f"it makes {tuple(small)} of a {_PROBES[0]} image")
    return int(small[1])
