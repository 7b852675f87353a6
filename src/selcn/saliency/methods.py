"""The registry of saliency methods: from a forward pass, or from any layer's gradient, to the saliency of one class."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from selcn.errors import ConfigError
from selcn.labels import MIRROR
from selcn.saliency.cams import eigen_cam, grad_cam, layer_cam
from selcn.saliency.gradcam_pp import THESIS_EPSILON, grad_cam_pp, grad_cam_pp_of_gradient

DEFAULT = "grad-cam++"
SaliencyMethod = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""From activations (N, K, h, w), head weights of the explained class (N, K) and gate (N, 1, h, w) or None, to saliency
(N, 1, h, w) scaled to [0, 1] for each image; see `grad_cam_pp`."""
LayerMethod = Callable[[Tensor, Tensor], Tensor]
"""From activations (N, K, h, w) of any layer, and the gradient of each image's score with respect to them, to saliency
(N, 1, h, w) scaled to [0, 1] for each image; see `grad_cam_pp_of_gradient`."""

_METHODS: dict[str, SaliencyMethod] = {}
_LAYER_METHODS: dict[str, LayerMethod] = {}


def register_saliency(name: str, method: SaliencyMethod, at_layer: LayerMethod | None = None) -> None:
    """Register a method under a name; an earlier one of the same name is replaced.

    Args:
        name: in configurations and on the command line.
        method: see `SaliencyMethod`.
        at_layer: the same for any layer, see `LayerMethod`; None for a method of the head's own layer alone.
    """
    _METHODS[name.lower()] = method
    _LAYER_METHODS.pop(name.lower(), None)
    if at_layer:
        _LAYER_METHODS[name.lower()] = at_layer


def saliency_methods() -> list[str]:
    """Names of the known methods, the default first."""
    return list(_METHODS)


def find_saliency(name: str) -> SaliencyMethod:
    """The registered method of a name.

    Args:
        name: see `saliency_methods`.

    Raises:
        ConfigError: there is none of that name.
    """
    if name.lower() not in _METHODS:
        raise ConfigError(f"saliency {name!r}: unknown; known are {', '.join(_METHODS)}")
    return _METHODS[name.lower()]


def find_layer_saliency(name: str) -> LayerMethod:
    """The registered method of a name, for any layer.

    Args:
        name: see `saliency_methods`.

    Raises:
        ConfigError: there is none of that name, or it is of the head's own layer alone.
    """
    find_saliency(name)
    if name.lower() not in _LAYER_METHODS:
        raise ConfigError(f"saliency {name!r}: not of a chosen layer; those that are: {', '.join(_LAYER_METHODS)}")
    return _LAYER_METHODS[name.lower()]


def at_head(method: LayerMethod) -> SaliencyMethod:
    """The closed form of a method in which a factor common to all channels does not matter.

    Args:
        method: of any layer.
    """

    def of_head(activations: Tensor, weight: Tensor, gate: Tensor | None) -> Tensor:
        gradient = weight[:, :, None, None]
        return method(activations, gradient if gate is None else gradient * gate)

    return of_head


def measured_map(activations: Tensor, _weight: Tensor, _gate: Tensor | None) -> Tensor:
    """The map that a measured network keeps as its first channel, whichever class is asked for (N, 1, h, w).

    It is not scaled by image, see `selcn.models.mirror`.

    Args:
        activations: (N, K, h, w) of a network with backbone mirror.
    """
    return activations[:, :1]


register_saliency(DEFAULT, grad_cam_pp, grad_cam_pp_of_gradient)
for _name, _method in {"grad-cam": grad_cam, "layer-cam": layer_cam, "eigen-cam": eigen_cam}.items():
    register_saliency(_name, at_head(_method), _method)
register_saliency(MIRROR, measured_map)
register_saliency("grad-cam++-thesis", partial(grad_cam_pp, epsilon=THESIS_EPSILON, sums="gated"))
