"""What is particular to each stage: its network, its data, its loss and its score."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset, DistributedSampler, Sampler
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy

from selcn.config import ClassificationSection, SegmentationSection, SymmetrySection, Variant
from selcn.data.balance import BalancedDataset, BalancedSampler, balanced_counts
from selcn.data.datasets import Batch, DiagnosisDataset, SegmentationDataset, SymmetryDataset
from selcn.data.store.store import Store
from selcn.errors import DataError
from selcn.labels import Diagnosis, Fusion, Masking
from selcn.models.build import build_classifier, build_segmenter, build_symmetry
from selcn.models.losses import dice_rank_loss
from selcn.models.masking import apply_masking
from selcn.saliency.controls import replace_saliency

Section = SegmentationSection | SymmetrySection | ClassificationSection


class Stage(ABC):
    """A stage of the cascade as the training engine sees it.

    Attributes:
        section: its configuration.
        score: the name of the metric that is logged and may be monitored, larger being better.
    """

    section: Section
    score: str

    @abstractmethod
    def network(self) -> nn.Module:
        """A new network with its starting weights."""

    @abstractmethod
    def dataset(self, rows: np.ndarray) -> "Dataset[Batch]":
        """The stage's data for some rows of the store."""

    def training_order(self, dataset: Dataset[Batch], seed: int) -> "tuple[Dataset[Batch], Sampler[int]]":
        """What an epoch draws from, and the sampler that draws it: each image once, the order new each epoch."""
        # One replica: the sampler serves for its order, which depends on seed and epoch alone.
        return dataset, DistributedSampler(dataset, num_replicas=1, rank=0, shuffle=True, seed=seed)

    @property
    def mixing(self) -> tuple[str | None, float]:
        """How images of a batch are mixed in training, if at all, and the parameter of the shares."""
        return None, 0.0

    def seen(self, batch: Batch) -> Batch:
        """A batch, whose images are floats in [0, 1], as the network sees it."""
        return batch

    def to(self, device: torch.device) -> Self:  # noqa: ARG002
        """The stage with its constants on a device."""
        return self

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss, and the logits it was computed from, of a batch as the network sees it."""

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """The stage itself: it does not change, and its data may be large."""
        return self

    def mass(self, batch: Batch) -> Tensor | float:
        """What the mean in the loss of a batch is over: its images, or their class weights."""
        return float(len(batch.image))

    @abstractmethod
    def metric(self) -> Metric:
        """A fresh metric for the stage's score."""

    @abstractmethod
    def update(self, metric: Metric, logits: Tensor, batch: Batch) -> None:
        """Count one batch into the metric."""


@dataclass(frozen=True, eq=False)
class SegmentationStage(Stage):
    """Image to lesion mask, trained on Dice and rank loss, scored by the mean Jaccard index an image."""

    section: SegmentationSection
    store: Store
    score: str = "jaccard"

    def network(self) -> nn.Module:
        """The segmenter."""
        return build_segmenter(self.section, pretrained=True)

    def dataset(self, rows: np.ndarray) -> Dataset[Batch]:
        """Those of the rows that have a true mask."""
        return SegmentationDataset(self.store, rows[self.store.has_mask[rows]])

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Dice + rank loss."""
        logits = network(batch.image)
        return dice_rank_loss(logits, batch.mask, self.section.rank_weight), logits

    def metric(self) -> Metric:
        """Mean over images."""
        return MeanMetric()

    def update(self, metric: Metric, logits: Tensor, batch: Batch) -> None:
        """Jaccard index of each image; 1 where truth and prediction are both empty."""
        predicted, true = logits > 0, batch.mask > 0
        union = (predicted | true).sum(dim=(1, 2, 3))
        shared = (predicted & true).sum(dim=(1, 2, 3))
        metric.update(torch.where(union > 0, shared / union.clamp(min=1), 1.0))


class _LabelledStage(Stage):
    """Cross-entropy on class labels, weighted or not, balanced or not, scored by balanced accuracy."""

    section: SymmetrySection | ClassificationSection
    classes: int
    weight: Tensor | None

    def training_order(self, dataset: Dataset[Batch], seed: int) -> "tuple[Dataset[Batch], Sampler[int]]":
        """Each image once or, where the section says so, classes balanced to a target."""
        if self.section.balance is None:
            return super().training_order(dataset, seed)
        assert isinstance(dataset, SymmetryDataset)
        return BalancedDataset(dataset), BalancedSampler(dataset.labels[dataset.rows], self.section.balance, seed)

    @property
    def mixing(self) -> tuple[str | None, float]:
        """The section's."""
        return self.section.mix, self.section.mix_alpha

    def to(self, device: torch.device) -> Self:
        """The stage with its class weights on a device."""
        return self if self.weight is None else replace(self, weight=self.weight.to(device))  # type: ignore[type-var]

    @abstractmethod
    def logits(self, network: nn.Module, batch: Batch) -> Tensor:
        """Class logits (N, classes)."""

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy, smoothed while training; of a mixed batch, that of both labels by their shares."""
        logits = self.logits(network, batch)
        own = self._cross_entropy(logits, batch.label, network.training)
        if not batch.partner.numel():
            return own, logits
        share = batch.share[0]
        return share * own + (1 - share) * self._cross_entropy(logits, batch.partner, network.training), logits

    def mass(self, batch: Batch) -> Tensor | float:
        """The sum of the images' class weights, where classes are weighted."""
        return super().mass(batch) if self.weight is None else self.weight[batch.label].sum()

    def _cross_entropy(self, logits: Tensor, label: Tensor, training: bool) -> Tensor:
        smoothing = self.section.label_smoothing if training else 0.0
        return F.cross_entropy(logits, label, weight=self.weight, label_smoothing=smoothing)

    def metric(self) -> Metric:
        """Balanced accuracy."""
        return MulticlassAccuracy(num_classes=self.classes, average="macro", validate_args=False)

    def update(self, metric: Metric, logits: Tensor, batch: Batch) -> None:
        """Count the likeliest class of each image."""
        metric.update(logits.argmax(dim=1), batch.label)


@dataclass(frozen=True, eq=False)
class SymmetryStage(_LabelledStage):
    """Masked image to symmetry.

    Attributes:
        masks: out-of-fold masks, uint8 (N, H, W), for all rows of the store.
        labels: class numbers (N,), -1 where unknown.
        masking: what of the image the network sees.
        weight: loss weight of each class, or None.
    """

    section: SymmetrySection
    store: Store
    masks: np.ndarray
    labels: np.ndarray
    masking: Masking
    weight: Tensor | None = None
    score: str = "balanced_accuracy"

    @property
    def classes(self) -> int:  # type: ignore[override]
        """Two or three."""
        return self.section.classes

    def network(self) -> nn.Module:
        """The symmetry network."""
        return build_symmetry(self.section, pretrained=True)

    def dataset(self, rows: np.ndarray) -> Dataset[Batch]:
        """Those of the rows that have a symmetry label."""
        return SymmetryDataset(self.store, rows[self.labels[rows] >= 0], self.masks, self.labels)

    def seen(self, batch: Batch) -> Batch:
        """The masked image."""
        return batch._replace(image=apply_masking(batch.image, batch.mask, self.masking))

    def logits(self, network: nn.Module, batch: Batch) -> Tensor:
        """Of the masked image."""
        logits: Tensor = network(batch.image)
        return logits


@dataclass(frozen=True, eq=False)
class ClassificationStage(_LabelledStage):
    """Masked image and symmetry saliency to diagnosis.

    Attributes:
        masks: out-of-fold masks, uint8 (N, H, W), for all rows of the store.
        saliency: out-of-fold symmetry saliency, float32 (N, h, w), or None where the variant reads none.
        labels: class numbers (N,), -1 where unknown.
        variant: which lesion classifier.
        weight: loss weight of each class, or None.
    """

    section: ClassificationSection
    store: Store
    masks: np.ndarray
    saliency: np.ndarray | None
    labels: np.ndarray
    variant: Variant
    weight: Tensor | None = None
    score: str = "balanced_accuracy"
    classes: int = len(Diagnosis)

    def network(self) -> nn.Module:
        """The lesion classifier."""
        return build_classifier(self.section, self.variant, pretrained=True)

    def dataset(self, rows: np.ndarray) -> Dataset[Batch]:
        """Those of the rows that have a diagnosis."""
        return DiagnosisDataset(self.store, rows[self.labels[rows] >= 0], self.masks, self.labels, self.saliency)

    def seen(self, batch: Batch) -> Batch:
        """The masked image, and the saliency or what controls it."""
        image = apply_masking(batch.image, batch.mask, self.variant.mask)
        return batch._replace(image=image, saliency=replace_saliency(batch.saliency, self.variant.control))

    def logits(self, network: nn.Module, batch: Batch) -> Tensor:
        """Of the masked image and its saliency."""
        logits: Tensor = network(batch.image, None if self.variant.fusion is Fusion.NONE else batch.saliency)
        return logits


def class_numbers(names: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Class numbers int64 (N,) in the labels' own order, -1 where the name is empty."""
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number.get(name, -1) for name in names], dtype=np.int64)


def class_weights(labels: np.ndarray, classes: Sequence[str], balance: int | None = None) -> Tensor:
    """Loss weights inverse to class frequency, n / (classes x count), in the labels' own order.

    Args:
        labels: class numbers of the training part of one fold, -1 where unknown.
        classes: class names by number.
        balance: images of each class that an epoch is balanced to; the weights are then those of such an epoch.

    Raises:
        DataError: a class has no image in this training part.
    """
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    if (counts == 0).any():
        raise DataError(
            f"class {classes[int(counts.argmin())]} has no training image in this fold; "
            "add images, use fewer folds, or set weighted: false (symmetry: classes: 2)"
        )
    if balance is not None:
        counts = balanced_counts(counts, balance)
    return torch.tensor(counts.sum() / (len(classes) * counts), dtype=torch.float32)
