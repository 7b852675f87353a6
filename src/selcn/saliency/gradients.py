"""Activations of any layer of a network, and the gradient of a class score with respect to them, by autograd."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def gradient_at(
    network: Callable[[Tensor], Tensor], layer: nn.Module, images: Tensor, target: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Output of a layer, and the gradient of each image's score, by a forward hook and one backward pass for the batch.

    The network must treat images independently, as it does in evaluation mode. Its modes, hooks and gradients are left
    as they were.

    Args:
        network: images (N, 3, H, W) to logits (N, classes).
        layer: a module that ``network`` runs once, whose output is a tensor.
        images: (N, 3, H, W).
        target: (N,) class numbers; None for the predicted classes.

    Returns:
        Both in the shape of the layer's output.

    Raises:
        ValueError: ``layer`` is in training mode, or did not run exactly once.
        TypeError: its output is no tensor.
    """
    if layer.training:
        raise ValueError("the layer is in training mode, where images depend on each other; call eval() first")
    outputs: list[Tensor] = []

    def cut(_module: nn.Module, _inputs: Any, output: Any) -> Tensor:  # noqa: ANN401
        if not isinstance(output, Tensor):
            raise TypeError(f"the layer gives a {type(output).__name__}, not a tensor; choose another")
        # A new leaf, so that the backward pass ends here; its copy is passed on, as the next module may write in place.
        outputs.append(output.detach().requires_grad_())
        return outputs[-1].clone()

    handle = layer.register_forward_hook(cut)
    with torch.inference_mode(mode=False), torch.enable_grad():
        try:
            logits = network(images.clone())
        finally:
            handle.remove()
        if len(outputs) != 1:
            raise ValueError(f"the layer ran {len(outputs)} times in one pass; choose one that runs once")
        chosen = logits.argmax(1) if target is None else target.clone()  # may be of inference mode
        score = logits.gather(1, chosen[:, None]).sum()
        (gradient,) = torch.autograd.grad(score, outputs)
    return outputs[0].detach(), gradient
