"""Backbones of timm: their features as a map, cut behind a stage, built for one image size."""

from functools import cache
from math import ceil, floor
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from selcn.errors import ConfigError
from selcn.models.weights import IMAGENET, download_or, load_pretrained, timm_conversion


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


def input_size(name: str) -> tuple[int, int] | None:
    """Width and height in pixels that a network was made for, of one that is built for a single size; else None.

    Args:
        name: of timm, or any other, which has none.
    """
    known = timm.get_pretrained_cfg(name)
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


def build_timm(
    name: str, weights: Path | str | None, size: tuple[int, int] | None, reduction: int | None
) -> tuple[TimmFeatures, tuple[float, ...], tuple[float, ...]]:
    """A network of timm without its classifier, and mean and deviation of the channels of the images that it takes.

    Args:
        name: of timm, which has it.
        weights: see `selcn.models.backbones.build_backbone`.
        size: width and height in pixels that it is built for; None for a network that takes any size.
        reduction: see `selcn.models.backbones.build_backbone`.

    Raises:
        ConfigError: no stage of that reduction, or weights that are unavailable.
    """
    network = download_or(weights, name, lambda wanted: create_timm(name, size, pretrained=wanted, num_classes=0))
    if weights not in (None, IMAGENET):
        classifier = network.pretrained_cfg.get("classifier") or ()
        head = (classifier,) if isinstance(classifier, str) else classifier
        convert = timm_conversion(network) if size else None
        load_pretrained(network, weights, head=head, convert=convert)
    if reduction:
        _end_behind(name, network, reduction)
    return TimmFeatures(network), network.pretrained_cfg["mean"], network.pretrained_cfg["std"]


def _end_behind(name: str, network: Any, reduction: int) -> None:  # noqa: ANN401 - timm's networks share no typed base
    """Remove the stages of a timm network that are coarser than a reduction, and its last norm."""
    stages = [one["reduction"] for one in network.feature_info]
    if not hasattr(network, "prune_intermediate_layers"):
        raise ConfigError(f"backbone {name!r}: timm cannot end it behind a stage; leave reduction out or take another")
    if reduction not in stages or stages[0] == stages[-1]:
        there = "has one size of features" if stages[0] == stages[-1] else f"has {', '.join(map(str, stages))}"
        raise ConfigError(f"backbone {name!r}: has no stage of reduction {reduction}, it {there}; leave reduction out")
    last = len(stages) - 1 - stages[::-1].index(reduction)
    network.prune_intermediate_layers([last], prune_norm=True, prune_head=True)
    network.feature_info = network.feature_info[: last + 1]


@cache
def check_size(name: str, size: tuple[int, int]) -> int:
    """Channels of the features of a network that is built for one size, found without computing anything.

    Args:
        name: of timm.
        size: width and height in pixels.

    Raises:
        ConfigError: it cannot be built for that size.
    """
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
        raise no_map(name, f"it fails on an image of {width}x{height}") from error
    if len(shape) != 4 or shape[2:] != (height // reduction, width // reduction):
        raise no_map(name, f"it makes {shape} of a {width}x{height} image")
    return int(shape[1])


def _refuse_size(name: str, size: tuple[int, int], reduction: int) -> None:
    if any(side % reduction for side in size):
        lower, upper = (tuple(max(turn(side / reduction), 1) * reduction for side in size) for turn in (floor, ceil))
        raise ConfigError(
            f"backbone {name!r}: width and height must be multiples of {reduction}, {size[0]}x{size[1]} is not; the "
            f"nearest are {lower[0]}x{lower[1]} and {upper[0]}x{upper[1]}: set the network's size"
        )


def no_map(name: str, why: str) -> ConfigError:
    """The error for a network without a feature map.

    Args:
        name: of the network.
        why: it has none.
    """
    return ConfigError(
        f"backbone {name!r} gives no (N, C, h, w) feature map: {why}; "
        "take another, such as resnet18, convnext_tiny, vit_small_patch16_224 or swin_tiny_patch4_window7_224"
    )
