"""Saliency of a classifier's forward pass, and the average of an ensemble's probabilities and saliency."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from selcn.models.heads import HeadOutput
from selcn.saliency.methods import DEFAULT, find_saliency


class Explained(NamedTuple):
    """Averaged probabilities of N images, and the saliency of one class each.

    Attributes:
        probabilities: (N, classes).
        target: the explained class of each image, int (N,).
        saliency: (N, 1, h, w) in [0, 1].
    """

    probabilities: Tensor
    target: Tensor
    saliency: Tensor


def explain_together(
    outputs: Sequence[HeadOutput], target: int | Tensor | None = None, *, method: str = DEFAULT
) -> Explained:
    """Average the members' probabilities for the same images, and their saliency of one class.

    Args:
        outputs: of each member, for N images.
        target: a class number, or one an image, int64 (N,); None or -1 for the class that the ensemble predicts.
        method: name of a saliency method.

    Raises:
        ConfigError: there is no saliency method of that name.
    """
    probabilities = mean([output.logits.softmax(dim=1) for output in outputs])
    chosen = probabilities.argmax(dim=1)
    chosen = prefer(torch.full_like(chosen, target) if isinstance(target, int) else target, chosen)
    return Explained(probabilities, chosen, mean([explain(output, chosen, method=method) for output in outputs]))


def explain(output: HeadOutput, target: Tensor | None = None, *, method: str = DEFAULT) -> Tensor:
    """Saliency of a forward pass.

    Args:
        output: of a batch of N images.
        target: class numbers, int64 (N,); None or -1 explains the predicted class of an image.
        method: name of a saliency method.

    Returns:
        Saliency (N, 1, h, w) in [0, 1] at the target layer's own grid.

    Raises:
        ConfigError: there is no saliency method of that name.
    """
    target = prefer(target, output.logits.argmax(dim=1))
    gate = None
    if output.class_maps is not None:
        # Not by indexing with a range, which an export would take for a batch of a fixed size.
        chosen = target[:, None, None, None].expand(-1, 1, *output.class_maps.shape[2:])
        gate = output.class_maps.gather(1, chosen) > 0
    return find_saliency(method)(output.activations, output.weight[target], gate)


def prefer(known: Tensor | None, predicted: Tensor) -> Tensor:
    """What is known, and what is predicted where that is -1 or where nothing is known.

    Args:
        known: of a shape that broadcasts to that of ``predicted``, or None.
        predicted: of any shape.
    """
    return predicted if known is None else torch.where(known >= 0, known.to(predicted.dtype), predicted)


def mean(parts: Sequence[Tensor]) -> Tensor:
    """The mean of tensors of one shape.

    Args:
        parts: at least one.
    """
    return torch.stack(list(parts)).mean(dim=0)
