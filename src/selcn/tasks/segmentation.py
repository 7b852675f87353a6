"""Image -> lesion mask: soft Dice and rank loss, scored by the mean Jaccard index."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from selcn.config import SegmentationSection
from selcn.data.datasets import Batch, Sources
from selcn.models.losses import dice_rank_loss
from selcn.tasks.task import Task


@dataclass(frozen=True, eq=False)
class SegmentationTask(Task):
    """Trains a segmenter on images that have a true mask."""

    name: str
    section: SegmentationSection
    score: str = "jaccard"

    def usable(self, sources: Sources, rows: np.ndarray) -> np.ndarray:
        """Those of some rows (n,) that have a true mask."""
        chosen: np.ndarray = rows[sources.store.has_mask[rows]]
        return chosen

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Dice + rank loss, and logits (N, 1, H, W)."""
        logits = network(batch.image)
        return dice_rank_loss(logits, batch.mask, self.section.rank_weight), logits

    def metric(self) -> Metric:
        """Mean over images."""
        return MeanMetric()

    def update(self, metric: Metric, logits: Tensor, batch: Batch) -> None:
        """Count the Jaccard index of each image; 1 where truth and prediction are both empty."""
        predicted, true = logits > 0, batch.mask > 0
        union = (predicted | true).sum(dim=(1, 2, 3))
        shared = (predicted & true).sum(dim=(1, 2, 3))
        metric.update(torch.where(union > 0, shared / union.clamp(min=1), 1.0))
