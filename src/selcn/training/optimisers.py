"""Optimiser and schedule of a section."""

import math
from collections.abc import Callable

from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from selcn.config import Training

POLY_POWER = 0.9


def build_optimiser(network: nn.Module, section: Training) -> Optimizer:
    """Adam as in the thesis, or AdamW without weight decay on biases and normalisation scales.

    Args:
        network: whose parameters are optimised.
        section: with `optimiser`, `lr` and `weight_decay`.
    """
    if section.optimiser == "adam":
        return Adam(network.parameters(), lr=section.lr, weight_decay=section.weight_decay)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in trained if one.ndim > 1], "weight_decay": section.weight_decay},
        {"params": [one for one in trained if one.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=section.lr)


def build_schedule(optimiser: Optimizer, section: Training, steps: int) -> LRScheduler:
    """The section's learning rate schedule.

    Args:
        optimiser: whose learning rate is scheduled, step by step.
        section: with `schedule`, `warmup` and `lr`.
        steps: number of optimiser steps of the whole training.
    """
    if section.schedule == "one-cycle":
        return OneCycleLR(optimiser, section.lr, total_steps=steps, cycle_momentum=False)
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
