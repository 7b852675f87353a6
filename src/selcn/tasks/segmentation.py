"""Segmentation, image to lesion mask: soft Dice and rank loss, scored by the mean Jaccard index."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from selcn.config import SegmentationSection
from selcn.data.datasets import Batch, Sources
from selcn.models.losses import dice_rank_loss
from selcn.models.start import Start
from selcn.tasks.task import Task


@dataclass(frozen=True, eq=False)
class SegmentationTask(Task):
    """Trains a segmenter on images that have a ground-truth mask."""

    name: str
    section: SegmentationSection
    score: str = "jaccard"
    start: Start | None = None

    def usable(self, sources: Sources, rows: np.ndarray) -> np.ndarray:
        """Those of the rows that have a ground-truth mask, int (m,).

        Args:
            sources: images with masks.
            rows: int (n,) rows of ``sources``.
        """
        chosen: np.ndarray = rows[sources.store.has_mask[rows]]
        return chosen

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Soft Dice plus rank loss, a scalar, and logits (N, 1, H, W).

        Args:
            network: a segmenter.
            batch: images float (N, 3, H, W) in [0, 1] and masks (N, 1, H, W), 0 or 1.
        """
        logits = network(batch.image)
        return dice_rank_loss(logits, batch.mask, self.section.rank_weight), logits

    def metric(self) -> Metric:
        """Mean over images."""
        return MeanMetric()

    def update(self, metric: Metric, logits: Tensor, batch: Batch) -> None:
        """Add each image's Jaccard index; 1 where truth and prediction are both empty.

        Args:
            metric: as `metric` returns it.
            logits: (N, 1, H, W).
            batch: the same batch, with masks (N, 1, H, W).
        """
        predicted, true = logits > 0, batch.mask > 0
        union = (predicted | true).sum(dim=(1, 2, 3))
        shared = (predicted & true).sum(dim=(1, 2, 3))
        metric.update(torch.where(union > 0, shared / union.clamp(min=1), 1.0))
