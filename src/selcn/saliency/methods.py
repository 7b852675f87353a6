"""The registry of saliency methods: from a forward pass to the saliency of one class."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from selcn.errors import ConfigError
from selcn.saliency.gradcam_pp import THESIS_EPSILON, grad_cam_pp

DEFAULT = "grad-cam++"
SaliencyMethod = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""From activations (N, K, h, w), head weights of the explained class (N, K) and gate (N, 1, h, w) or None, to saliency
(N, 1, h, w) scaled to [0, 1] for each image; see `grad_cam_pp`."""

_METHODS: dict[str, SaliencyMethod] = {}


def register_saliency(name: str, method: SaliencyMethod) -> None:
    """Register a method under a name; an earlier one of the same name is replaced.

    Args:
        name: in configurations and on the command line.
        method: see `SaliencyMethod`.
    """
    _METHODS[name.lower()] = method


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


register_saliency(DEFAULT, grad_cam_pp)
register_saliency("grad-cam++-thesis", partial(grad_cam_pp, epsilon=THESIS_EPSILON, sums="gated"))
