"""Optimiser and schedule of a section."""

import math
from collections.abc import Callable

from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from selcn.config import Training

POLY_POWER = 0.9


def build_optimiser(network: nn.Module, section: Training) -> Optimizer:
    """Adam as the thesis used it, or AdamW, which leaves biases and the scales of norms undecayed."""
    if section.optimiser == "adam":
        return Adam(network.parameters(), lr=section.lr, weight_decay=section.weight_decay)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in trained if one.ndim > 1], "weight_decay": section.weight_decay},
        {"params": [one for one in trained if one.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=section.lr)


def build_schedule(optimiser: Optimizer, section: Training, steps: int) -> LRScheduler:
    """The section's schedule over the true number of the optimiser's steps."""
    if section.schedule == "one-cycle":
        return OneCycleLR(optimiser, section.lr, total_steps=steps, cycle_momentum=False)
    return LambdaLR(optimiser, rate(section.schedule, round(section.warmup * steps), steps))


def rate(schedule: str, warmup: int, steps: int) -> Callable[[int], float]:
    """Factor on lr by step: linear over ``warmup`` steps, then constant, (1 - t)^0.9 or half a cosine, t 0 to 1."""

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
