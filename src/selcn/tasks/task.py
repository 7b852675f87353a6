"""What every task has: how it is trained, scored and fed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, DistributedSampler, Sampler
from torchmetrics import Metric

from selcn.config import ClassificationSection, SegmentationSection, Training
from selcn.data.datasets import Batch, Samples, Sources
from selcn.models.build import build_for_training
from selcn.models.classifier import Classifier
from selcn.models.segmenter import Segmenter
from selcn.models.start import Start, load_start


class Task(ABC):
    """A kind of network as the trainer sees it; holds no images.

    Attributes:
        name: of the network, in messages.
        section: its configuration.
        score: name of the logged metric, which may be monitored; higher is better.
        start: weights of another network to start from, or None.
    """

    name: str
    section: Training
    score: str
    start: Start | None

    def build(self) -> Segmenter | Classifier:
        """A new network with its starting weights.

        Raises:
            ConfigError: see `selcn.models.build.build_network` and `selcn.models.start.kept_and_new`.
        """
        section: SegmentationSection | ClassificationSection = self.section  # type: ignore[assignment]
        network = build_for_training(section)
        if self.start:
            load_start(network, section.spec, self.start)
        return network

    def weights(self, network: nn.Module) -> dict[str, Tensor]:
        """The state dict that is kept of a trained network, on the CPU.

        Args:
            network: as `build` returns it, trained.
        """
        return {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}

    @abstractmethod
    def usable(self, sources: Sources, rows: np.ndarray) -> np.ndarray:
        """Those of the rows that have what the task is trained on, int (m,).

        Args:
            sources: images with masks and labels.
            rows: int (n,) rows of ``sources``.
        """

    def training_order(self, samples: Samples, seed: int) -> "tuple[Dataset[Batch], Sampler[int]]":
        """The data set of an epoch, and its sampler: each image once, reshuffled every epoch.

        Args:
            samples: the usable images.
            seed: of the order, together with the epoch.
        """
        # One replica: the sampler serves for its order, which depends on seed and epoch alone.
        return samples, DistributedSampler(samples, num_replicas=1, rank=0, shuffle=True, seed=seed)

    @property
    def mixing(self) -> tuple[str | None, float]:
        """How a training batch is mixed (`mixup`, `cutmix` or None), and alpha of Beta(alpha, alpha)."""
        return None, 0.0

    @property
    def monitored(self) -> tuple[str, str]:
        """Name of the logged value that keeps an epoch's weights, and whether `max` or `min` of it is best."""
        return (f"val_{self.score}", "max") if self.section.monitor == "score" else ("val_loss", "min")

    def look(self, batch: Batch) -> Batch:
        """The batch as the network takes it.

        Args:
            batch: images float (N, 3, H, W) in [0, 1], with masks and saliency where the task has them.
        """
        return batch

    def to(self, device: torch.device) -> Self:  # noqa: ARG002
        """The task with its constant tensors on a device.

        Args:
            device: to move them to.
        """
        return self

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss of a batch, a scalar, and the logits (N, ...) it was computed from.

        Args:
            network: of the task.
            batch: as `look` returns it, possibly mixed.
        """

    def mass(self, batch: Batch) -> Tensor | float:
        """The denominator of the mean in a batch's loss: number of images, or sum of their class weights.

        Args:
            batch: of N images.
        """
        return float(len(batch.image))

    def terms(self, loss: Tensor, logits: Tensor, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002
        """The terms that a loss is the sum of, each a scalar, by name; none of a loss of one term.

        Args:
            loss: as `loss` returns it.
            logits: as `loss` returns them.
            batch: the same batch.
        """
        return {}

    def further_metrics(self) -> dict[str, Metric]:
        """New metrics that are logged beside the score, by name."""
        return {}

    @abstractmethod
    def update_further(self, metrics: Mapping[str, Metric], logits: Tensor, batch: Batch) -> None:
        """Update the further metrics with one batch.

        Args:
            metrics: as `further_metrics` returns them.
            logits: as `loss` returns them.
            batch: the same batch.
        """

    @abstractmethod
    def metric(self) -> Metric:
        """A new metric for the task's score."""

    @abstractmethod
    def update(self, metric: Metric, logits: Tensor, batch: Batch) -> None:
        """Update the metric with one batch.

        Args:
            metric: as `metric` returns it.
            logits: as `loss` returns them.
            batch: the same batch.
        """
