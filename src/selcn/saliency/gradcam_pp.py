"""Grad-CAM++ (Chattopadhay et al. 2018, arXiv:1710.11063): in closed form, and by autograd for any layer.

With Y = exp(S) of the target score S, whose gradient g with respect to the target layer is piecewise constant, the
derivatives are Y g, Y g^2, Y g^3 and equation 19 becomes, with A summed over positions,

    alpha = g^2 / (2 g^2 + sum(A) g^3),    w_k = sum(alpha relu(g)),    map = relu(sum(w_k A_k))

up to the factor Y, which the scaling to [0, 1] removes. Divided by g^2, the summand is relu(g) / (2 + sum(A) g).

A head of global average pooling and a linear map has g = weight / Z at every one of Z positions. SqueezeNet's head has
a ReLU in front of its pooling and g = weight / Z where the class map is positive and 0 elsewhere: a gate. So the
forward pass alone is enough.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from selcn.saliency.gradients import gradient_at

CUSTOMARY_EPSILON = 1e-6
THESIS_EPSILON = 1e-7
"""Of the thesis' own Grad-CAM++, which also sums activations over the positions of the gate alone."""


def grad_cam_pp(
    activations: Tensor,
    weight: Tensor,
    gate: Tensor | None = None,
    *,
    epsilon: float = 0.0,
    sums: Literal["all", "gated"] = "all",
) -> Tensor:
    """Grad-CAM++ in closed form, of a score that is pooled and linear in gated activations.

    Args:
        activations: (N, K, h, w) of the target layer.
        weight: (N, K), the head's row for each image's target class.
        gate: (N, 1, h, w) bool, where the target's class map is positive; None where the head has no ReLU.
        epsilon: added to the denominator of alpha. 0 is exact; 1e-6 is what the grad-cam package does, and dims the
            channels whose squared gradient is not large against it.
        sums: the positions over which A is summed in the denominator: ``"all"`` as in the paper, ``"gated"`` as in the
            original research code.

    Returns:
        Saliency (N, 1, h, w), scaled to [0, 1] for each image; zeros where the map is flat.

    Example:
        >>> activations = torch.tensor([[[[0.0, 1.0], [2.0, 4.0]], [[9.0, 0.0], [0.0, 0.0]]]])
        >>> grad_cam_pp(activations, torch.tensor([[1.0, 0.0]])).tolist()  # the second channel does not count
        [[[[0.0, 0.25], [0.5, 1.0]]]]
    """
    activations, weight = at_least_float32(activations), at_least_float32(weight)
    positions = activations.shape[2] * activations.shape[3]
    summed = activations if gate is None or sums == "all" else activations * gate
    summands = _summands(weight / positions, summed.sum((2, 3)), epsilon)
    opened = positions if gate is None else gate.sum((2, 3))
    return combine_channels(activations, summands * opened)


def autograd_grad_cam_pp(
    network: Callable[[Tensor], Tensor],
    layer: nn.Module,
    images: Tensor,
    target: Tensor | None = None,
    *,
    epsilon: float = 0.0,
) -> Tensor:
    """Grad-CAM++ at any layer, by autograd; see `gradient_at`.

    Args:
        network: images (N, 3, H, W) to logits (N, classes).
        layer: a module that ``network`` runs once, with output (N, K, h, w).
        images: (N, 3, H, W).
        target: (N,) class numbers; None for the predicted classes.
        epsilon: see ``grad_cam_pp``.

    Returns:
        Saliency (N, 1, h, w), scaled to [0, 1] for each image; zeros where the map is flat.

    Raises:
        ValueError: ``layer`` is in training mode, or did not run exactly once.
    """
    activations, gradient = gradient_at(network, layer, images, target)
    return grad_cam_pp_of_gradient(activations, gradient, epsilon=epsilon)


def grad_cam_pp_of_gradient(activations: Tensor, gradient: Tensor, *, epsilon: float = 0.0) -> Tensor:
    """Grad-CAM++ of a score whose gradient with respect to the target layer is known.

    Args:
        activations: (N, K, h, w) of the target layer.
        gradient: (N, K, h, w) of each image's score.
        epsilon: see ``grad_cam_pp``.

    Returns:
        Saliency (N, 1, h, w), scaled to [0, 1] for each image; zeros where the map is flat.
    """
    gradient, activations = at_least_float32(gradient), at_least_float32(activations)
    return combine_channels(
        activations, _summands(gradient, activations.sum((2, 3), keepdim=True), epsilon).sum((2, 3))
    )


def scale_min_max(maps: Tensor) -> Tensor:
    """Maps (N, 1, h, w) scaled to [0, 1], each by its own minimum and maximum.

    Args:
        maps: (N, 1, h, w), float; a map that is constant up to rounding becomes zeros.
    """
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    span = high - low
    precision = torch.finfo(maps.dtype)
    # A sum over channels that is equal everywhere still differs by a few roundings (1.8 eps measured), which scaling
    # would amplify to a pattern; and devices that flush spans below the smallest normal number would divide 0 by 0.
    flat = span <= (16 * precision.eps * maps.abs().amax((2, 3), keepdim=True)).clamp(min=precision.tiny)
    return torch.where(flat, 0.0, (maps - low) / torch.where(flat, 1.0, span))


def _summands(gradient: Tensor, sums: Tensor, epsilon: float) -> Tensor:
    """alpha * relu(g), with numerator and denominator divided by g^2; 0 where alpha has no value."""
    positive = gradient > 0
    gradient = torch.where(positive, gradient, 1.0)
    denominator = 2 + sums * gradient
    if epsilon:  # 0 over the square of a tiny gradient, which underflows, is not 0 but NaN
        denominator = denominator + epsilon / gradient**2
    # Activations of both signs can sum to a denominator of 0, which the paper's ReLU features cannot.
    defined = positive & (denominator != 0)
    return torch.where(defined, gradient / torch.where(defined, denominator, 1.0), 0.0)


def combine_channels(activations: Tensor, channel_weights: Tensor) -> Tensor:
    """The positive part of the weighted sum of channels (N, 1, h, w), scaled to [0, 1] for each image.

    Args:
        activations: (N, K, h, w).
        channel_weights: (N, K).
    """
    # Not einsum, which mixed precision would run in float16, where these small weights vanish.
    return scale_min_max(F.relu((activations * channel_weights[:, :, None, None]).sum(1, keepdim=True)))


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor in float32, or in float64 where it is that.

    Args:
        tensor: of any float type.
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
