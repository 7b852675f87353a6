"""The time of an epoch by the trainer's actions."""

import time
from collections import defaultdict

import pandas as pd
from lightning.pytorch.profilers import Profiler

AUGMENTATION = "augmentation"
EPOCH = "run_training_epoch"
_STEP, _OPTIMISER, _BACKWARD = "training_step", "optimizer_step", "backward"
_ENDINGS = {
    "waiting for data": ("train_dataloader_next", "batch_to_device"),
    AUGMENTATION: (AUGMENTATION,),
    "forward and loss": (f"Strategy.{_STEP}",),
    "backward": (f"Strategy.{_BACKWARD}",),
    "optimiser": (f"TrainingModule.{_OPTIMISER}",),
    "validation": ("Strategy.validation_step", "val_next"),
    "checkpoints": ("save_checkpoint",),
}


class EpochProfiler(Profiler):
    """Seconds by the trainer's actions. On a GPU, asynchronous work counts where it is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: dict[str, float] = {}
        self.spans: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def start(self, action_name: str) -> None:
        """Record the start of an action.

        Args:
            action_name: Lightning's name of it.
        """
        self.begun[action_name] = time.perf_counter()

    def stop(self, action_name: str) -> None:
        """Record the end of an action.

        Args:
            action_name: Lightning's name of it.
        """
        self.spans[action_name].append((self.begun.pop(action_name), time.perf_counter()))

    def table(self) -> pd.DataFrame:
        """Columns ``part, seconds, share`` of the last epoch, one row an action; shares sum to 1."""
        first, _ = self.spans[EPOCH][-1]
        last = max(end for spans in self.spans.values() for _, end in spans)  # checkpoints are written after the epoch
        seconds = {
            part: sum(
                end - begin
                for action, spans in self.spans.items()
                if action.endswith(endings)
                for begin, end in spans
                if begin >= first
            )
            for part, endings in _ENDINGS.items()
        }
        # Actions are nested: the optimiser's step calls forward and backward, and forward the augmentation.
        seconds["optimiser"] -= seconds["forward and loss"] + seconds["backward"]
        seconds["forward and loss"] -= seconds[AUGMENTATION]
        seconds["all else"] = last - first - sum(seconds.values())
        table = pd.DataFrame(seconds.items(), columns=["part", "seconds"])
        return table.assign(share=table["seconds"] / (last - first))
