"""Segmentation, image to lesion mask: soft Dice or cross-entropy and rank loss, scored by the mean Jaccard index."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from selcn.config import SegmentationSection
from selcn.data.datasets import Batch, Sources
from selcn.models.losses import MASK_LOSSES, mask_loss
from selcn.models.start import Start
from selcn.tasks.task import Task

_SCORES = ("dice", "sensitivity", "specificity", "accuracy")


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
        """Soft Dice or cross-entropy plus rank loss, a scalar, and logits (N, 1, H, W).

        Args:
            network: a segmenter.
            batch: images float (N, 3, H, W) in [0, 1] and masks (N, 1, H, W), 0 or 1.
        """
        logits = network(batch.image)
        return mask_loss(logits, batch.mask, self.section.rank_weight, self.section.loss), logits

    @torch.no_grad()
    def terms(self, loss: Tensor, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Soft Dice loss or cross-entropy and, where it has a weight, rank loss without its weight.

        Args:
            loss: as `loss` returns it.
            logits: (N, 1, H, W).
            batch: the same batch, with masks (N, 1, H, W), 0 or 1.
        """
        name, weight = self.section.loss, self.section.rank_weight
        whole = MASK_LOSSES[name](logits, batch.mask)
        rank = {"rank_loss": (loss.detach() - whole) / weight} if weight else {}  # not sorted once more
        return {f"{name.replace('-', '_')}_loss": whole, **rank}

    def further_metrics(self) -> dict[str, Metric]:
        """Means over images of the other scores by pixels."""
        return {name: MeanMetric() for name in _SCORES}

    def update_further(self, metrics: Mapping[str, Metric], logits: Tensor, batch: Batch) -> None:
        """Add each image's scores; see `selcn.evaluation.segmentation.segmentation_scores`.

        Args:
            metrics: as `further_metrics` returns them.
            logits: (N, 1, H, W).
            batch: the same batch, with masks (N, 1, H, W).
        """
        predicted, true = (one.flatten(1) for one in (logits > 0, batch.mask > 0))
        hits, found, lesion = ((predicted & true).sum(1), predicted.sum(1), true.sum(1))
        pixels, union = torch.full_like(hits, true.shape[1]), found + lesion - hits
        counts = {
            "dice": (2 * hits, lesion + found),
            "sensitivity": (hits, lesion),
            "specificity": (pixels - union, pixels - lesion),
            "accuracy": (pixels - union + hits, pixels),
        }
        for name, (part, whole) in counts.items():
            metrics[name].update(torch.where(whole > 0, part / whole.clamp(min=1), 1.0))

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
