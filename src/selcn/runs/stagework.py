"""What there is to train in a run: the stage behind a step's name, its rows and labels, and whether it can be done."""

from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from selcn.config import ClassificationSection, RunConfig, SymmetrySection
from selcn.errors import ConfigError
from selcn.inference.bundle import symmetry_labels
from selcn.labels import Diagnosis, Masking, StageName
from selcn.models.build import build_classifier, build_segmenter, build_symmetry
from selcn.runs.plan import classification_step, fold_of, saliency_step, segmentation_step, symmetry_step
from selcn.runs.predictions import symmetry_names
from selcn.runs.preparation import Preparation
from selcn.tasks.stages import (
    ClassificationStage,
    SegmentationStage,
    Stage,
    SymmetryStage,
    class_numbers,
    class_weights,
)


class StageWork:
    """The training of a run.

    Args:
        config: of the run.
        folder: of the run, where masks and saliency of earlier stages lie.
        data: what all stages share.
    """

    def __init__(self, config: RunConfig, folder: Path, data: Preparation) -> None:
        self.config, self.folder, self.data = config, folder, data

    @property
    def folds(self) -> range:
        """Numbers of the folds."""
        return range(self.data.split.folds)

    @cached_property
    def fold_rows(self) -> list[np.ndarray]:
        """Rows of each fold."""
        return [self.data.split.rows(self.data.table, str(fold)) for fold in self.folds]

    @property
    def masks(self) -> np.ndarray:
        """Out-of-fold masks, uint8 (N, H, W)."""
        masks: np.ndarray = np.load(self.folder / "masks" / "masks.npy", mmap_mode="r")
        return masks

    def saliency(self, masking: Masking) -> np.ndarray:
        """Out-of-fold symmetry saliency for one masking, float32 (N, h, w)."""
        saliency: np.ndarray = np.load(self.folder / saliency_step(masking) / "saliency.npy", mmap_mode="r")
        return saliency

    def training_rows(self, fold: int) -> np.ndarray:
        """Rows of all folds but one."""
        return self.data.split.rows(self.data.table, *(str(other) for other in self.folds if other != fold))

    def stage(self, name: str) -> Stage:
        """What the step of a name trains, all that it needs having finished."""
        kind, *which, _ = name.split("/")
        fold, store = fold_of(name), self.data.store
        if kind == "segmentation":
            return SegmentationStage(self.config.segmentation, store)
        if kind == "symmetry":
            masking = Masking.parse(which[0])
            section = self.config.symmetry.of(masking)
            labels, weight = self._symmetry_labels(fold, section)
            return SymmetryStage(section, store, self.masks, labels, masking, weight)
        variant = next(v for v in self.config.classification.variants if v.name == which[0])
        of_variant = self.config.classification.of(variant)
        saliency = self.saliency(variant.cam_mask) if variant.cam_mask else None
        labels, weight = self._diagnosis_labels(fold, of_variant)
        return ClassificationStage(of_variant, store, self.masks, saliency, labels, variant, weight)

    def steps(self, stage: StageName, mask: Masking | None = None, cam_mask: Masking | None = None) -> list[str]:
        """Names of a stage's steps on every fold, for all maskings and variants or only for those of one masking.

        Raises:
            ConfigError: no variant has, or reads the saliency of, such a masking.
        """
        if stage is StageName.SEGMENTATION:
            return [segmentation_step(fold) for fold in self.folds]
        if stage is StageName.SYMMETRY:
            if mask not in (None, *self.config.cam_masks):
                raise ConfigError(
                    f"no variant reads the saliency of masking {mask}; add one to classification.variants"
                )
            maskings = [mask] if mask else self.config.cam_masks
            return [symmetry_step(masking, fold) for masking in maskings for fold in self.folds]
        variants = self.config.classification.variants
        chosen = [v for v in variants if mask in (None, v.mask) and cam_mask in (None, v.cam_mask)]
        if not chosen:
            raise ConfigError(f"no variant has mask {mask} and cam_mask {cam_mask}; add one to classification.variants")
        return [classification_step(variant, fold) for variant in chosen for fold in self.folds]

    def check(self) -> None:
        """Find in seconds what would else end a run after hours: names, weight files, classes and folds too small.

        Raises:
            ConfigError: a network or its weights cannot be had, or a batch is larger than what there is to train on.
            DataError: a training part lacks a class that is needed.
        """
        segmentation, symmetry, classification = (
            self.config.segmentation,
            self.config.symmetry,
            self.config.classification,
        )
        build_segmenter(segmentation, pretrained=True)
        build_symmetry(symmetry, pretrained=True)
        build_classifier(classification, classification.variants[0], pretrained=True)
        has_mask = np.where(self.data.table["mask_path"] != "", 0, -1)
        for fold in self.folds:
            self._refuse_small("segmentation", segmentation.batch, has_mask, fold)
            for masking in self.config.cam_masks:
                of_masking = symmetry.of(masking)
                self._refuse_small("symmetry", of_masking.batch, self._symmetry_labels(fold, of_masking)[0], fold)
            for variant in classification.variants:
                of_variant = classification.of(variant)
                labels, _ = self._diagnosis_labels(fold, of_variant)
                self._refuse_small("classification", of_variant.batch, labels, fold)

    def _refuse_small(self, stage: str, batch: int, labels: np.ndarray, fold: int) -> None:
        count = int((labels[self.training_rows(fold)] >= 0).sum())
        if count < batch:
            raise ConfigError(
                f"{stage}.batch is {batch}, but {count} labelled images are to be trained on without fold {fold}; "
                "lower it or add labelled images"
            )

    def _symmetry_labels(self, fold: int, section: SymmetrySection) -> tuple[np.ndarray, Tensor | None]:
        names = symmetry_labels(section.classes)
        return self._labels(fold, symmetry_names(self.data.table["symmetry"], names), names, section)

    def _diagnosis_labels(self, fold: int, section: ClassificationSection) -> tuple[np.ndarray, Tensor | None]:
        return self._labels(fold, self.data.table["diagnosis"], Diagnosis.names(), section)

    def _labels(
        self, fold: int, known: pd.Series, names: list[str], section: SymmetrySection | ClassificationSection
    ) -> tuple[np.ndarray, Tensor | None]:
        labels = class_numbers(list(known), names)
        rows = self.training_rows(fold)
        # Of symmetry each class must be there, since a saliency of a class that was never seen means nothing.
        needed = section.weighted or isinstance(section, SymmetrySection)
        weight = class_weights(labels[rows], names, section.balance) if needed else None
        return labels, weight if section.weighted else None
