"""Whether a CPU trains a network faster in bfloat16 than in float32: measured, since few processors compute in it."""

import copy
import time

import torch
from torch.utils.data import DataLoader

from selcn.data.datasets import Batch
from selcn.tasks.task import Task
from selcn.training.compute import BFLOAT16, FLOAT32
from selcn.training.module import TrainingModule, augment

_REPEATS = 3
_GAIN = 0.9
"""Share of float32's time that bfloat16 must stay below to be worth its rounding."""


def faster_on_cpu(module: TrainingModule, loader: "DataLoader[Batch]") -> str:
    """The precision in which a training step takes less time on this CPU: `bfloat16` or `float32`.

    One batch goes forward and backward through a copy of the network: a pass that does not count, then three, of which
    the fastest counts, so that other work on the machine hardly matters. Network and random states stay as they are.

    Args:
        module: to be trained, on the CPU.
        loader: of its training batches.
    """
    task, network = module.task, copy.deepcopy(module.network).train()
    with torch.random.fork_rng(devices=[]):
        batch = task.look(augment(next(iter(loader)), task, torch.Generator()))
        seconds = {name: _seconds(task, network, batch, bfloat16=name == BFLOAT16) for name in (FLOAT32, BFLOAT16)}
    return BFLOAT16 if seconds[BFLOAT16] < _GAIN * seconds[FLOAT32] else FLOAT32


def _seconds(task: Task, network: torch.nn.Module, batch: Batch, *, bfloat16: bool) -> float:
    times = []
    for _ in range(1 + _REPEATS):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss, _ = task.loss(network, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        network.zero_grad()
        times.append(time.perf_counter() - start)
    return min(times[1:])
