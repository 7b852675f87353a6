"""The devices and machines that a training runs on, and the rank of this process."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from selcn.errors import ConfigError
from selcn.io.threads import usable_cores

AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "bfloat16"


@dataclass(frozen=True)
class Compute:
    """The devices of a training. They are no part of a run's configuration, so that a run can move to another machine.

    Attributes:
        devices: processes a machine, each with a GPU of its own where there are GPUs.
        nodes: number of machines.
        accelerator: `cpu`, `gpu`, or `auto` for GPUs where there are any.
    """

    devices: int = 1
    nodes: int = 1
    accelerator: str = "auto"

    @property
    def world(self) -> int:
        """Number of processes in all."""
        return self.devices * self.nodes

    @property
    def device(self) -> torch.device:
        """The device that this process predicts on."""
        if self.accelerator == "cpu" or not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())

    def check(self) -> None:
        """Refuse devices that this machine does not have.

        Raises:
            ConfigError: `gpu` with fewer GPUs than ``devices``.
        """
        there = torch.cuda.device_count()
        if self.accelerator == "gpu" and there < self.devices:
            raise ConfigError(
                f"--devices {self.devices}: this machine has {there} GPUs; use fewer or --accelerator cpu"
            )

    def precision(self, wanted: str) -> str:
        """Lightning's name of a precision.

        Args:
            wanted: `float32`, `bfloat16`, `float16`, or `auto`: bfloat16 on GPUs that support it, else float32. On one
                CPU the trainer measures instead, see `selcn.training.precision`.
        """
        if wanted == AUTO:
            wanted = BFLOAT16 if self.device.type == "cuda" and torch.cuda.is_bf16_supported() else FLOAT32
        return {FLOAT32: "32-true", BFLOAT16: "bf16-mixed", "float16": "16-mixed"}[wanted]


def rank() -> int:
    """Rank of this process in a distributed training, as torchrun, SLURM or Lightning set it; 0 is the main one."""
    number = os.environ.get("RANK") or (os.environ.get("SLURM_PROCID") if _several_tasks() else None)
    if number is None:
        # Lightning starts one process a device; ranks of one machine are consecutive.
        devices = int(os.environ.get("WORLD_SIZE", "1")) // int(os.environ.get("NUM_NODES", "1"))
        number = str(int(os.environ.get("NODE_RANK", "0")) * devices + int(os.environ.get("LOCAL_RANK", "0")))
    return int(number)


def _several_tasks() -> bool:
    return int(os.environ.get("SLURM_NTASKS", "1")) > 1


def machine() -> str:
    """Processor, cores that this process may use, and GPUs of this machine, in words."""
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return " and ".join([f"{usable_cores()} cores of {processor()}", *gpus])


def processor() -> str:
    """The processor's name; where the system does not tell it, its architecture."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8", errors="replace").splitlines() if table.is_file() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()
