"""What every task has: how it is trained, scored and fed."""

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, DistributedSampler, Sampler
from torchmetrics import Metric

from selcn.config import Training
from selcn.data.datasets import Batch, Samples, Sources
from selcn.models.build import build_for_training
from selcn.models.classifier import Classifier
from selcn.models.segmenter import Segmenter


class Task(ABC):
    """A kind of network as the trainer sees it; holds no images.

    Attributes:
        name: of the network, in messages.
        section: its configuration.
        score: the metric that is logged and may be monitored; larger is better.
    """

    name: str
    section: Training
    score: str

    def build(self) -> Segmenter | Classifier:
        """A new network with its starting weights."""
        return build_for_training(self.section)  # type: ignore[arg-type]  # one of the two sections

    @abstractmethod
    def usable(self, sources: Sources, rows: np.ndarray) -> np.ndarray:
        """Those of some rows (n,) that have what the task is trained on."""

    def training_order(self, samples: Samples, seed: int) -> "tuple[Dataset[Batch], Sampler[int]]":
        """What an epoch takes its images from, and the sampler: each image once, the order new each epoch."""
        # One replica: the sampler serves for its order, which depends on seed and epoch alone.
        return samples, DistributedSampler(samples, num_replicas=1, rank=0, shuffle=True, seed=seed)

    @property
    def mixing(self) -> tuple[str | None, float]:
        """How images of a batch are mixed in training (`mixup`, `cutmix` or None), and the shares' parameter."""
        return None, 0.0

    def look(self, batch: Batch) -> Batch:
        """A batch, whose images are floats in [0, 1], as the network sees it."""
        return batch

    def to(self, device: torch.device) -> Self:  # noqa: ARG002
        """The task with its constants on a device."""
        return self

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss, and the logits it was computed from, of a batch as the network sees it."""

    def mass(self, batch: Batch) -> Tensor | float:
        """What the mean in the loss of a batch is over: its images, or their class weights."""
        return float(len(batch.image))

    @abstractmethod
    def metric(self) -> Metric:
        """A fresh metric for the task's score."""

    @abstractmethod
    def update(self, metric: Metric, logits: Tensor, batch: Batch) -> None:
        """Count one batch into the metric."""
