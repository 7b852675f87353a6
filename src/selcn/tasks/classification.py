"""Classification, masked image (and saliency of earlier networks) to the classes of any label set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset, Sampler
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassCohenKappa, MulticlassF1Score

from selcn.config import ClassificationSection
from selcn.data.balance import BalancedDataset, BalancedSampler, balanced_counts
from selcn.data.datasets import Batch, Samples, Sources
from selcn.errors import DataError
from selcn.models.masking import add_mask, apply_masking
from selcn.models.start import Start
from selcn.saliency.controls import replace_saliency
from selcn.tasks.task import Task


@dataclass(frozen=True, eq=False)
class ClassificationTask(Task):
    """Trains a classifier by cross-entropy, weighted or not, balanced or not, scored by balanced accuracy.

    Attributes:
        weight: loss weight of each class (C,); None for equal weights.
        prior: share of each class among the training images (C,), the log of which the loss adds to the logits
            (balanced softmax; Ren et al. 2020, arXiv:2007.10740); None for none.
    """

    name: str
    section: ClassificationSection
    weight: Tensor | None = None
    prior: Tensor | None = None
    score: str = "balanced_accuracy"
    start: Start | None = None

    def usable(self, sources: Sources, rows: np.ndarray) -> np.ndarray:
        """Those of the rows that have a class, int (m,).

        Args:
            sources: images with labels.
            rows: int (n,) rows of ``sources``.
        """
        assert sources.labels is not None
        chosen: np.ndarray = rows[sources.labels[rows] >= 0]
        return chosen

    def training_order(self, samples: Samples, seed: int) -> "tuple[Dataset[Batch], Sampler[int]]":
        """The data set of an epoch, and its sampler: each image once or, with `balance`, classes balanced to a count.

        Args:
            samples: the usable images.
            seed: of the order, together with the epoch.
        """
        if self.section.balance is None:
            return super().training_order(samples, seed)
        return BalancedDataset(samples), BalancedSampler(samples.labels, self.section.balance, seed)

    @property
    def mixing(self) -> tuple[str | None, float]:
        """`mix` and `mix_alpha` of the section."""
        return self.section.mix, self.section.mix_alpha

    def look(self, batch: Batch) -> Batch:
        """The batch with masked images, the mask as fourth channel where it is wanted, and other inputs or controls.

        Args:
            batch: images float (N, 3, H, W) in [0, 1], masks (N, 1, H, W), saliency maps (N, 1, h, w) in [0, 1].
        """
        section = self.section
        masked = apply_masking(batch.image, batch.mask, section.masking)
        return self.controlled(batch._replace(image=add_mask(masked, batch.mask, section.input)))

    def controlled(self, batch: Batch) -> Batch:
        """The batch with the controls of the section in place of saliency and metadata.

        Args:
            batch: with saliency maps (N, 1, h, w) and metadata (N, any) or none.
        """
        section = self.section
        return batch._replace(
            saliency=tuple(replace_saliency(one, section.control) for one in batch.saliency),
            metadata=replace_saliency(batch.metadata, section.metadata_control) if section.metadata else batch.metadata,
        )

    def to(self, device: torch.device) -> Self:
        """The task with its class weights and frequencies on a device.

        Args:
            device: to move them to.
        """
        weight, prior = (None if one is None else one.to(device) for one in (self.weight, self.prior))
        return replace(self, weight=weight, prior=prior)

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy, a scalar, and logits (N, C); label smoothing in training only.

        For a mixed batch it is share * CE(own labels) + (1 - share) * CE(partners' labels).

        Args:
            network: a classifier.
            batch: as `look` returns it, possibly mixed.
        """
        mask = batch.mask if self.section.takes_mask else None
        logits: Tensor = network(batch.image, batch.saliency, batch.metadata, mask)
        own = self.cross_entropy(logits, batch.label, network.training)
        if not batch.partner.numel():
            return own, logits
        share = batch.share[0]
        return share * own + (1 - share) * self.cross_entropy(logits, batch.partner, network.training), logits

    def mass(self, batch: Batch) -> Tensor | float:
        """The denominator of the mean in a batch's loss: number of images or, with class weights, their sum.

        Args:
            batch: of N images with labels.
        """
        return super().mass(batch) if self.weight is None else self.weight[batch.label].sum()

    def further_metrics(self) -> dict[str, Metric]:
        """Cohen's kappa, macro F1 and accuracy."""
        settings: dict[str, Any] = {"num_classes": len(self.section.labels.classes), "validate_args": False}
        return {
            "kappa": MulticlassCohenKappa(**settings),
            "macro_f1": MulticlassF1Score(**settings, average="macro"),
            "accuracy": MulticlassAccuracy(**settings, average="micro"),
        }

    def update_further(self, metrics: Mapping[str, Metric], logits: Tensor, batch: Batch) -> None:
        """Add each image's most probable class and its label.

        Args:
            metrics: as `further_metrics` returns them.
            logits: (N, C).
            batch: the same batch, with labels (N,).
        """
        for metric in metrics.values():
            metric.update(logits.argmax(dim=1), batch.label)

    def metric(self) -> Metric:
        """Balanced accuracy."""
        return MulticlassAccuracy(num_classes=len(self.section.labels.classes), average="macro", validate_args=False)

    def update(self, metric: Metric, logits: Tensor, batch: Batch) -> None:
        """Add each image's most probable class and its label.

        Args:
            metric: as `metric` returns it.
            logits: (N, C).
            batch: the same batch, with labels (N,).
        """
        metric.update(logits.argmax(dim=1), batch.label)

    def cross_entropy(self, logits: Tensor, label: Tensor, training: bool) -> Tensor:
        """Mean cross-entropy with the task's weights or frequencies, a scalar.

        Args:
            logits: (N, C).
            label: class numbers (N,).
            training: whether labels are smoothed.
        """
        smoothing = self.section.label_smoothing if training else 0.0
        if self.prior is not None:
            logits = logits + self.prior.log()
        return F.cross_entropy(logits, label, weight=self.weight, label_smoothing=smoothing)


def class_weights(labels: np.ndarray, classes: Sequence[str], balance: int | None = None) -> Tensor:
    """Loss weights inverse to class frequency, n / (classes x count), float32 (C,) in the label set's order.

    Args:
        labels: class numbers int (n,) of the training rows of one fold, -1 where unknown.
        classes: class names by number.
        balance: images of each class that an epoch is balanced to; the weights are then those of such an epoch.

    Raises:
        DataError: a class has no image among these.
    """
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    if (counts == 0).any():
        raise DataError(
            f"class {classes[int(counts.argmin())]} has no training image in this fold; add images, use fewer folds, "
            "or a label set without it"
        )
    if balance is not None:
        counts = balanced_counts(counts, balance)
    return torch.tensor(counts.sum() / (len(classes) * counts), dtype=torch.float32)
