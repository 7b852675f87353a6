"""Grad-CAM, LayerCAM and Eigen-CAM, each of the activations of a layer and the gradient of a class score.

At the input of a pooled linear head the gradient is the head's weight over the number of positions, everywhere the same
or, behind a ReLU, 0 where the class map is negative. A factor common to all channels does not matter, since maps are
scaled to [0, 1]; so all three are closed forms there, and the same functions serve any other layer.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from selcn.saliency.gradcam_pp import at_least_float32, combine_channels, scale_min_max

_SQUARINGS = 12  # of the matrix whose powers single out the largest of its components: 2^12 steps of power iteration


def grad_cam(activations: Tensor, gradient: Tensor) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2).

    Args:
        activations: (N, K, h, w).
        gradient: (N, K, h, w) of each image's score, or (N, K, 1, 1) where it is the same at all positions.

    Returns:
        Saliency (N, 1, h, w), scaled to [0, 1] for each image; zeros where the map is flat.
    """
    return combine_channels(at_least_float32(activations), at_least_float32(gradient).mean((2, 3)))


def layer_cam(activations: Tensor, gradient: Tensor) -> Tensor:
    """LayerCAM (Jiang et al. 2021, IEEE TIP 30, equations 4 to 6): activations weighted by positive gradients.

    Args:
        activations: (N, K, h, w).
        gradient: see `grad_cam`.

    Returns:
        Saliency (N, 1, h, w), scaled to [0, 1] for each image; zeros where the map is flat.
    """
    weighted = at_least_float32(activations) * F.relu(at_least_float32(gradient))
    return scale_min_max(F.relu(weighted.sum(1, keepdim=True)))


def eigen_cam(activations: Tensor, _gradient: Tensor) -> Tensor:
    """Eigen-CAM (Muhammad and Yeasin 2020, arXiv:2008.00299): activations along their first right singular vector.

    It does not depend on the class. The sign, which a singular vector does not have, is that with which the map's sum
    is positive. The vector is found by repeated squaring of the smaller Gram matrix, since ONNX has no singular value
    decomposition.

    Args:
        activations: (N, K, h, w), not centred, as in the paper.
        _gradient: not used.

    Returns:
        Saliency (N, 1, h, w), scaled to [0, 1] for each image; zeros where the map is flat.
    """
    values = at_least_float32(activations).flatten(2)  # (N, K, P)
    few_positions = values.shape[2] <= values.shape[1]
    power = values.transpose(1, 2) @ values if few_positions else values @ values.transpose(1, 2)
    power = _unit(power)
    for _ in range(_SQUARINGS):
        power = _unit(power @ power)
    # Each column is now a multiple of the first singular vector; the longest is the most exact.
    longest = power.square().sum(1).argmax(1)
    vector = power.gather(2, longest[:, None, None].expand(-1, power.shape[1], 1))  # (N, P or K, 1)
    projected = vector[..., 0] if few_positions else (values.transpose(1, 2) @ vector)[..., 0]  # (N, P)
    projected = projected * torch.where(projected.sum(1, keepdim=True) < 0, -1.0, 1.0).to(projected)
    return scale_min_max(F.relu(projected.view(-1, 1, *activations.shape[2:])))


def _unit(matrix: Tensor) -> Tensor:
    """Each matrix (N, S, S) divided by its largest entry."""
    return matrix / matrix.abs().amax((1, 2), keepdim=True).clamp(min=torch.finfo(matrix.dtype).tiny)
