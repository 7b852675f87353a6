"""On what a training runs: how many devices and machines, and which of the processes this is."""

import os
from dataclasses import dataclass

import torch

from selcn.errors import ConfigError


@dataclass(frozen=True)
class Compute:
    """What a training may use. No part of a run's configuration, so that a run can move to another machine.

    Attributes:
        devices: processes a machine, each with a GPU of its own where there are GPUs.
        nodes: machines.
        accelerator: `cpu`, `gpu` or `auto`, which takes GPUs where there are any.
    """

    devices: int = 1
    nodes: int = 1
    accelerator: str = "auto"

    @property
    def world(self) -> int:
        """Processes in all."""
        return self.devices * self.nodes

    @property
    def device(self) -> torch.device:
        """Where this process predicts."""
        if self.accelerator == "cpu" or not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())

    def check(self) -> None:
        """Refuse what this machine does not have.

        Raises:
            ConfigError: GPUs are wanted and there are none, or fewer.
        """
        there = torch.cuda.device_count()
        if self.accelerator == "gpu" and there < self.devices:
            raise ConfigError(
                f"--devices {self.devices}: this machine has {there} GPUs; use fewer or --accelerator cpu"
            )

    def precision(self, wanted: str) -> str:
        """Lightning's name of a section's precision."""
        if wanted == "auto":
            wanted = "bfloat16" if self.device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
        return {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}[wanted]


def rank() -> int:
    """Number of this process among those of a training: set by torchrun, SLURM or Lightning; 0 leads."""
    number = os.environ.get("RANK") or (os.environ.get("SLURM_PROCID") if _several_tasks() else None)
    if number is None:
        # Lightning starts one process a device; those of one machine come one after the other.
        devices = int(os.environ.get("WORLD_SIZE", "1")) // int(os.environ.get("NUM_NODES", "1"))
        number = str(int(os.environ.get("NODE_RANK", "0")) * devices + int(os.environ.get("LOCAL_RANK", "0")))
    return int(number)


def _several_tasks() -> bool:
    return int(os.environ.get("SLURM_NTASKS", "1")) > 1
