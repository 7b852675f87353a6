"""Backbones by name: images to unpooled features."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from math import ceil, floor
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
import torchvision.models as tv
from torch import Tensor, nn

from selcn.errors import ConfigError
from selcn.models.weights import IMAGENET, load_pretrained, timm_conversion, unknown_name

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


class TimmFeatures(nn.Module):
    """Features of a timm network, of a transformer as the map of its tokens.

    Args:
        network: without its classifier.
    """

    def __init__(self, network: Any) -> None:  # noqa: ANN401  timm's networks share no typed base
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Unpooled features (N, C, h, w), with the network's final norm.

        A norm that timm applies to the pooled tokens (`fc_norm`) is applied to each token instead, so that the head
        stays linear in the features.

        Args:
            images: normalised (N, 3, H, W).
        """
        features: Tensor = self.network.forward_features(images)
        if features.ndim == 3:
            features = getattr(self.network, "fc_norm", nn.Identity())(features)
        return self.as_map(features, (images.shape[2], images.shape[3]))

    def as_map(self, features: Tensor, image: tuple[int, int]) -> Tensor:
        """Features of any layer as (N, C, h, w); those that are no map are returned as they are.

        Args:
            features: (N, C, h, w), (N, h, w, C) of a network that says so (`output_fmt`), or tokens (N, L, C), those of
                class and registers first.
            image: height and width of the images.
        """
        if features.ndim == 4:
            return features.permute(0, 3, 1, 2) if getattr(self.network, "output_fmt", "NCHW") == "NHWC" else features
        prefix = getattr(self.network, "num_prefix_tokens", None)
        if features.ndim != 3 or prefix is None:
            return features
        height, width = (side // self.reduction for side in image)
        if features.shape[1] != prefix + height * width:
            return features
        return features[:, prefix:].transpose(1, 2).reshape(len(features), -1, height, width)

    @property
    def reduction(self) -> int:
        """Pixels of the image's width or height to one position of the features."""
        return int(self.network.feature_info[-1]["reduction"])


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
    name: str, weights: Path | str | None = None, size: tuple[int, int] | None = None, *, mask: bool = False
) -> Backbone:
    """Build the network called ``name`` without its head.

    Args:
        name: ``squeezenet1_0``, ``squeezenet1_1``, ``torchvision/<name>``, or a timm name.
        weights: None for random ones, ``"imagenet"`` for the library's download, or a ``.safetensors`` file with the
            library's own keys; position embeddings are resampled to ``size``.
        size: width and height in pixels to which images are resized; None for that of the images or, of a network built
            for one size, its own.
        mask: whether images have a fourth channel, the lesion's mask.

    Raises:
        ConfigError: an unknown name, a network without an (N, C, h, w) feature map, a size that the network cannot
            take, or weights that are unavailable.
    """
    if from_torchvision(name):
        body: nn.Module = _from_torchvision(name, weights)
        normalise, taken, channels = Normalise(), size, _count_channels(name, body)
    else:
        own = input_size(name)
        taken = size or own
        known = _check_size(name, taken) if own and taken else None
        body, normalise = _from_timm(name, weights, taken if own else None)
        channels = known or _count_channels(name, body)
    if mask:
        _add_channel(name, body)
    return Backbone(body, normalise, channels, taken)


def input_size(name: str) -> tuple[int, int] | None:
    """Width and height in pixels that a network was made for, of one that is built for a single size; else None.

    Args:
        name: that `build_backbone` knows.
    """
    known = None if from_torchvision(name) else timm.get_pretrained_cfg(name)
    return (known.input_size[2], known.input_size[1]) if known and known.fixed_input_size else None


def create_timm(name: str, size: tuple[int, int] | None, **options: Any) -> Any:  # noqa: ANN401
    """A network of timm for one image size.

    Args:
        name: of timm.
        size: width and height in pixels; None for a network that takes any size.
        options: further arguments of `timm.create_model`.
    """
    if size:
        options["img_size"] = size[::-1]
    return timm.create_model(name, **options)


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
    network = _download_or(weights, name, lambda wanted: tv.get_model(plain, weights="DEFAULT" if wanted else None))
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
        raise _no_map(name, "it has no average pooling to cut at")
    return nn.Sequential(OrderedDict(children[:end])), names[end:]


def _from_timm(name: str, weights: Path | str | None, size: tuple[int, int] | None) -> tuple[nn.Module, Normalise]:
    if not timm.is_model(name):
        known = [*SQUEEZENETS, *timm.list_models(), *(TORCHVISION + other for other in tv.list_models(module=tv))]
        raise unknown_name("backbone", name, known)
    network = _download_or(weights, name, lambda wanted: create_timm(name, size, pretrained=wanted, num_classes=0))
    if weights not in (None, IMAGENET):
        classifier = network.pretrained_cfg.get("classifier") or ()
        head = (classifier,) if isinstance(classifier, str) else classifier
        load_pretrained(network, weights, head=head, convert=timm_conversion(network) if size else None)
    mean, std = network.pretrained_cfg["mean"], network.pretrained_cfg["std"]
    return TimmFeatures(network), Normalise(mean, std)


@cache
def _check_size(name: str, size: tuple[int, int]) -> int:
    """Channels of the features of a network that is built for one size, found without computing anything."""
    (width, height), own = size, input_size(name)
    try:
        with torch.device("meta"), torch.no_grad():
            # At its own size first, for the reduction, which tells whether the other can be built.
            reduction = TimmFeatures(create_timm(name, own, num_classes=0)).reduction
            if size != own:
                _refuse_size(name, size, reduction)
            body = TimmFeatures(create_timm(name, size, num_classes=0).eval())
            shape = tuple(body(torch.zeros(1, 3, height, width)).shape)
    except (AssertionError, AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise _no_map(name, f"it fails on an image of {width}x{height}") from error
    if len(shape) != 4 or shape[2:] != (height // reduction, width // reduction):
        raise _no_map(name, f"it makes {shape} of a {width}x{height} image")
    return int(shape[1])


def _refuse_size(name: str, size: tuple[int, int], reduction: int) -> None:
    if any(side % reduction for side in size):
        lower, upper = (tuple(max(turn(side / reduction), 1) * reduction for side in size) for turn in (floor, ceil))
        raise ConfigError(
            f"backbone {name!r}: width and height must be multiples of {reduction}, {size[0]}x{size[1]} is not; the "
            f"nearest are {lower[0]}x{lower[1]} and {upper[0]}x{upper[1]}: set the network's size"
        )


def _download_or(weights: Path | str | None, name: str, create: Callable[[bool], Any]) -> Any:  # noqa: ANN401
    if weights != IMAGENET:
        return create(False)
    try:
        return create(True)
    except Exception as error:  # each library has its own kinds for no network and for no such weights
        raise ConfigError(
            f"no ImageNet weights for {name!r} ({type(error).__name__}: {error}); "
            "check the connection, or give a .safetensors file"
        ) from error


def _count_channels(name: str, body: nn.Module) -> int:
    body.eval()
    try:
        with torch.no_grad():
            small, large = (body(torch.zeros(1, 3, height, width)).shape for height, width in _PROBES)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise _no_map(name, f"it fails on an image of {_PROBES[0]}") from error
    finally:
        body.train()
    same_channels = len(small) == len(large) == 4 and small[1] == large[1]
    if not (same_channels and small[2] < large[2] and small[3] < large[3]):
        raise _no_map(name, f"it makes {tuple(small)} of a {_PROBES[0]} image")
    return int(small[1])


def _no_map(name: str, why: str) -> ConfigError:
    return ConfigError(
        f"backbone {name!r} gives no (N, C, h, w) feature map: {why}; "
        "take another, such as resnet18, convnext_tiny, vit_small_patch16_224 or swin_tiny_patch4_window7_224"
    )
