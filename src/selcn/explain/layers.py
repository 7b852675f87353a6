"""Layers of a classifier by name, and their outputs as maps."""

import difflib

from torch import Tensor, nn

from selcn.errors import ConfigError
from selcn.models.classifier import Classifier
from selcn.models.timm_backbones import TimmFeatures

_CLOSE = 3


def find_layer(network: Classifier, name: str) -> nn.Module:
    """A module of a classifier's backbone, by the name that its library gives it; or `fuse`, where saliency is read.

    Args:
        network: the classifier.
        name: such as `layer3` or `layer3.0` of a ResNet, `features.9` of a SqueezeNet, `blocks.10` of a transformer.

    Raises:
        ConfigError: there is none of that name.
    """
    body = network.body.network if isinstance(network.body, TimmFeatures) else network.body
    layers: dict[str, nn.Module] = {key: module for key, module in body.named_modules() if key}
    if network.fuse is not None:
        layers["fuse"] = network.fuse
    if name not in layers:
        close = difflib.get_close_matches(name, layers, n=_CLOSE)
        first = [key for key in layers if "." not in key]
        raise ConfigError(
            f"--layer {name}: unknown; known are {', '.join(first)}, and the modules within them"
            + (f"; close are {', '.join(close)}" if close else "")
        )
    return layers[name]


def as_map(network: Classifier, name: str, features: Tensor, images: Tensor) -> Tensor:
    """A layer's output, or the gradient with respect to it, as (N, K, h, w).

    Args:
        network: the classifier.
        name: of the layer.
        features: in the shape of the layer's output.
        images: (N, 3, H, W) that the network was given.

    Raises:
        ConfigError: it is no map.
    """
    height, width = network.size[::-1] if network.size else images.shape[2:]
    if isinstance(network.body, TimmFeatures) and name != "fuse":
        features = network.body.as_map(features, (height, width))
    if features.ndim != 4:
        raise ConfigError(f"--layer {name}: its output {tuple(features.shape)} is no map; choose another layer")
    return features
