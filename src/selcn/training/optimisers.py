"""Optimiser and schedule of a section."""

import math
from collections.abc import Callable

from timm.models import group_parameters
from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from selcn.config import Training

POLY_POWER = 0.9


def build_optimiser(network: nn.Module, section: Training) -> Optimizer:
    """Adam as in the thesis, or AdamW without weight decay on biases and normalisation scales.

    With `layer_decay` d, the learning rate of stage i of the n of the network's body is lr * d^(n - i), from i = 0 at
    the input; all other modules have lr (as Clark et al. 2020, arXiv:2003.10555, for transformers).

    Args:
        network: whose parameters are optimised; with `layer_decay`, a `Classifier` or a `Segmenter`.
        section: with `optimiser`, `lr`, `weight_decay` and `layer_decay`.
    """
    scaled = (
        [(list(network.parameters()), 1.0)] if section.layer_decay is None else _layers(network, section.layer_decay)
    )
    if section.optimiser == "adam":
        groups = [{"params": parameters, "lr": section.lr * scale} for parameters, scale in scaled]
        return Adam(groups, lr=section.lr, weight_decay=section.weight_decay)
    groups = []
    for parameters, scale in scaled:
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        weights, rest = ([one for one in trained if (one.ndim > 1) is many] for many in (True, False))
        lr = section.lr * scale
        groups.append({"params": weights, "lr": lr, "weight_decay": section.weight_decay})
        groups.append({"params": rest, "lr": lr, "weight_decay": 0.0})
    return AdamW([group for group in groups if group["params"]], lr=section.lr)


def _layers(network: nn.Module, decay: float) -> list[tuple[list[nn.Parameter], float]]:
    """Parameters of each stage of the body and of all that follows it, with their factors on the learning rate."""
    body: nn.Module = network.body  # type: ignore[assignment]
    deep = body_stages(body)
    inside = {id(parameter) for parameter in body.parameters()}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in inside]
    return [*((stage, decay ** (len(deep) - place)) for place, stage in enumerate(deep)), (rest, 1.0)]


def body_stages(body: nn.Module) -> list[list[nn.Parameter]]:
    """Parameters of a backbone or encoder by depth, from the input on.

    timm's own coarse groups (stages of convolutional networks, blocks of transformers) where it has them, else the
    modules in their order.

    Args:
        body: of a classifier or segmenter.
    """
    module = body
    while not hasattr(module, "group_matcher"):
        children = [child for child in module.children() if any(True for _ in child.parameters())]
        own = list(module.parameters(recurse=False))
        if len(children) != 1 or own:
            return [stage for stage in (own, *(list(child.parameters()) for child in children)) if stage]
        (module,) = children
    named = dict(module.named_parameters())
    grouped = group_parameters(module, module.group_matcher(coarse=True))  # type: ignore[operator]
    return [[named[name] for name in names] for _, names in sorted(grouped.items())]


def build_schedule(optimiser: Optimizer, section: Training, steps: int) -> LRScheduler:
    """The section's learning rate schedule.

    Args:
        optimiser: whose learning rate is scheduled, step by step.
        section: with `schedule`, `warmup` and `lr`.
        steps: number of optimiser steps of the whole training.
    """
    if section.schedule == "one-cycle":
        return OneCycleLR(
            optimiser, [group["lr"] for group in optimiser.param_groups], total_steps=steps, cycle_momentum=False
        )
    return LambdaLR(optimiser, rate(section.schedule, round(section.warmup * steps), steps))


def rate(schedule: str, warmup: int, steps: int) -> Callable[[int], float]:
    """The factor on the learning rate as a function of the step.

    It rises linearly over ``warmup`` steps; then, with t from 0 to 1 over the remaining ones, it is (1 - t)^0.9
    (`poly`), (1 + cos(pi t)) / 2 (`cosine`; Loshchilov & Hutter 2017, arXiv:1608.03983) or 1 (`constant`).

    Args:
        schedule: `poly`, `cosine` or `constant`.
        warmup: number of warm-up steps.
        steps: number of optimiser steps of the whole training.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        passed = min((step - warmup) / max(steps - warmup, 1), 1.0)
        match schedule:
            case "poly":
                return float((1 - passed) ** POLY_POWER)
            case "cosine":
                return (1 + math.cos(math.pi * passed)) / 2
            case _:
                return 1.0

    return factor
