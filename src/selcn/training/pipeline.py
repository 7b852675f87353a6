"""The whole cascade, from data to figures, as resumable steps in one run folder.

How the stages are kept from leaking into one another is told in `crossfit`.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from torch import Tensor, nn

from selcn.bundle import NETWORKS, BundleConfig, assemble, load_weights, symmetry_labels, write_bundle
from selcn.config import ClassificationSection, RunConfig, SymmetrySection, Variant
from selcn.errors import ConfigError
from selcn.evaluation.comparison import compare
from selcn.evaluation.files import evaluate_file
from selcn.evaluation.predictions import write_predictions, write_scores
from selcn.labels import Diagnosis, Fusion, Masking
from selcn.models.build import build_classifier, build_segmenter, build_symmetry
from selcn.training.crossfit import judge, out_of_fold_masks, out_of_fold_saliency, symmetry_names
from selcn.training.engine import WEIGHTS, fit
from selcn.training.preparation import Preparation
from selcn.training.stages import (
    ClassificationStage,
    SegmentationStage,
    Stage,
    SymmetryStage,
    class_numbers,
    class_weights,
)
from selcn.training.steps import Report, Steps


class Pipeline:
    """One run of the cascade; each method makes sure of one part of it and of all that part needs.

    Args:
        config: what is run.
        run: its folder.
        console: where progress is shown.

    Raises:
        RunError: the folder belongs to another configuration.
    """

    def __init__(self, config: RunConfig, run: Path, console: Console | None = None) -> None:
        self.config, self.folder = config, run
        self.steps = Steps(run, config, console or Console(stderr=True))
        self.data = Preparation(config, self.steps)

    def run(self) -> None:
        """Everything, in order; what has finished is not repeated."""
        self.check()
        self.train_segmentation()
        self.train_symmetries()
        self.train_classifications()
        self.bundle()
        self.predictions()
        self.evaluation()
        self.steps.tidy()

    def check(self) -> None:
        """Find in seconds what would else end a run after hours: names, weight files, classes without images.

        Raises:
            ConfigError: a network or its weights cannot be had.
            DataError: a training part lacks a class that is weighted.
        """
        build_segmenter(self.config.segmentation, pretrained=True)
        build_symmetry(self.config.symmetry, pretrained=True)
        build_classifier(self.config.classification, self.config.classification.variants[0], pretrained=True)
        for fold in self._folds:
            self._symmetry_labels(fold)
            self._diagnosis_labels(fold)

    def train_segmentation(self) -> None:
        """Stage 1 on every fold."""
        for fold in range(self.data.split.folds):
            self._fit(f"segmentation/fold-{fold}", SegmentationStage(self.config.segmentation, self.data.store), fold)

    @cached_property
    def masks(self) -> np.ndarray:
        """Out-of-fold masks, uint8 (N, H, W)."""
        self.train_segmentation()

        def action(work: Path, report: Report) -> None:
            networks = [build_segmenter(self.config.segmentation, pretrained=False) for _ in self._folds]
            self._load(networks, "segmentation")
            out_of_fold_masks(self.data.store, self._fold_rows, networks, work / "masks.npy", report)

        masks: np.ndarray = np.load(self.steps.do("masks", action) / "masks.npy", mmap_mode="r")
        return masks

    def train_symmetries(self, only: Masking | None = None) -> None:
        """Stage 2 for every masking that is wanted, or only for one.

        Raises:
            ConfigError: ``only`` is not among those that the variants read.
        """
        chosen = [masking for masking in self.config.cam_masks if only in (None, masking)]
        if not chosen:
            raise ConfigError(f"no variant reads the saliency of masking {only}; add one to classification.variants")
        for masking in chosen:
            self.train_symmetry(masking)

    def train_classifications(self, mask: Masking | None = None, cam_mask: Masking | None = None) -> None:
        """Stage 3 for every variant, or only for those of one masking.

        Raises:
            ConfigError: there is no such variant.
        """
        variants = self.config.classification.variants
        chosen = [v for v in variants if mask in (None, v.mask) and cam_mask in (None, v.cam_mask)]
        if not chosen:
            raise ConfigError(f"no variant has mask {mask} and cam_mask {cam_mask}; add one to classification.variants")
        for variant in chosen:
            self.train_classification(variant)

    def train_symmetry(self, masking: Masking) -> None:
        """Stage 2 on every fold, for one masking."""
        for fold in self._folds:
            labels, weight = self._symmetry_labels(fold)
            stage = SymmetryStage(self.config.symmetry, self.data.store, self.masks, labels, masking, weight)
            self._fit(f"symmetry/{masking}/fold-{fold}", stage, fold)

    def saliency(self, masking: Masking) -> np.ndarray:
        """Out-of-fold symmetry saliency for one masking, float32 (N, h, w)."""
        self.train_symmetry(masking)

        def action(work: Path, report: Report) -> None:
            networks = [build_symmetry(self.config.symmetry, pretrained=False) for _ in self._folds]
            self._load(networks, f"symmetry/{masking}")
            out_of_fold_saliency(
                self.data.store, self.masks, masking, self._fold_rows, networks, work / "saliency.npy", report
            )

        path = self.steps.do(f"saliency/{masking}", action) / "saliency.npy"
        saliency: np.ndarray = np.load(path, mmap_mode="r")
        return saliency

    def train_classification(self, variant: Variant) -> None:
        """Stage 3 on every fold, for one variant."""
        section = self.config.classification
        saliency = self.saliency(variant.cam_mask) if variant.cam_mask else None
        for fold in self._folds:
            labels, weight = self._diagnosis_labels(fold)
            stage = ClassificationStage(section, self.data.store, self.masks, saliency, labels, variant, weight)
            self._fit(f"classification/{variant.name}/fold-{fold}", stage, fold)

    def bundle(self) -> Path:
        """The deployable cascade: the first variant that reads saliency, else the first."""
        variants = self.config.classification.variants
        variant = next((v for v in variants if v.fusion is not Fusion.NONE), variants[0])

        def action(work: Path, _: Report) -> None:
            write_bundle(work, self._bundle_config(variant), self._members(variant))

        return self.steps.do("bundle", action)

    def predictions(self) -> Path:
        """Prediction files of every variant, of symmetry and of segmentation: out of fold, and of the test part."""
        variants = self.config.classification.variants

        def action(work: Path, report: Report) -> None:
            for variant in variants:
                config = self._bundle_config(variant)
                ensemble = assemble(config, self._members(variant))
                said = judge(self.data.table, self.data.store, self.data.split, config, ensemble, report)
                write_predictions(said.diagnosis, work / f"{variant.name}.csv")
                # Variants share segmenters, and symmetry networks of one masking: these files come out the same.
                write_predictions(said.symmetry, work / f"symmetry-{config.cam_mask}.csv")
                write_scores(said.segmentation, work / "segmentation.csv")

        return self.steps.do("predictions", action)

    def evaluation(self) -> Path:
        """Figures with intervals, computed from the prediction files alone, and each variant against the standalone."""
        predictions, resamples = self.predictions(), self.config.resamples

        def action(work: Path, _: Report) -> None:
            for path in sorted(predictions.glob("*.csv")):
                evaluate_file(path, resamples=resamples).to_csv(work / path.name, index=False)
            comparisons = [
                compare(predictions / f"{a}.csv", predictions / f"{b}.csv", resamples=resamples).assign(a=a, b=b)
                for a, b in self._pairs()
            ]
            if comparisons:
                pd.concat(comparisons).to_csv(work / "comparison.csv", index=False)

        return self.steps.do("evaluation", action)

    @property
    def _folds(self) -> range:
        return range(self.data.split.folds)

    @property
    def _fold_rows(self) -> list[np.ndarray]:
        return [self.data.split.rows(self.data.table, str(fold)) for fold in self._folds]

    def _training_rows(self, fold: int) -> np.ndarray:
        return self.data.split.rows(self.data.table, *(str(other) for other in self._folds if other != fold))

    def _symmetry_labels(self, fold: int) -> tuple[np.ndarray, Tensor | None]:
        names = symmetry_labels(self.config.symmetry.classes)
        known = symmetry_names(self.data.table["symmetry"], names)
        return self._labels(fold, known, names, self.config.symmetry)

    def _diagnosis_labels(self, fold: int) -> tuple[np.ndarray, Tensor | None]:
        return self._labels(fold, self.data.table["diagnosis"], Diagnosis.names(), self.config.classification)

    def _labels(
        self, fold: int, known: pd.Series, names: list[str], section: SymmetrySection | ClassificationSection
    ) -> tuple[np.ndarray, Tensor | None]:
        labels = class_numbers(list(known), names)
        rows = self._training_rows(fold)
        return labels, class_weights(labels[rows], names, section.balance) if section.weighted else None

    def _fit(self, name: str, stage: Stage, fold: int) -> None:
        train, validation = self._training_rows(fold), self._fold_rows[fold]

        def action(work: Path, report: Report) -> dict[str, float]:
            def on_epoch(epoch: int, values: Mapping[str, float]) -> None:
                note = " ".join(f"{key} {value:.3f}" for key, value in values.items())
                report(epoch, stage.section.epochs, note)

            return fit(stage, train, validation, work, seed=self.config.seed + fold, on_epoch=on_epoch)

        self.steps.do(name, action, resumable=True)

    def _load(self, networks: Sequence[nn.Module], stage: str) -> None:
        for fold, network in enumerate(networks):
            load_weights(network, self.folder / stage / f"fold-{fold}" / WEIGHTS)

    def _members(self, variant: Variant) -> list[dict[str, Path]]:
        cam_mask = variant.cam_mask or self.config.cam_masks[0]
        stages = ("segmentation", f"symmetry/{cam_mask}", f"classification/{variant.name}")
        files = [[self.folder / stage / f"fold-{fold}" / WEIGHTS for stage in stages] for fold in self._folds]
        return [dict(zip(NETWORKS, paths, strict=True)) for paths in files]

    def _bundle_config(self, variant: Variant) -> BundleConfig:
        config = self.config
        return BundleConfig(
            # Weights come with the bundle; paths of the machine that trained it stay behind.
            prepare=config.prepare.model_copy(update={"store": None}),
            segmentation=config.segmentation.model_copy(update={"weights": None}),
            symmetry=config.symmetry.model_copy(update={"weights": None}),
            classification=config.classification.model_copy(update={"weights": None}),
            variant=variant,
            cam_mask=variant.cam_mask or config.cam_masks[0],
            members=self.data.split.folds,
            split=self.data.split.fingerprint,
            symmetry_labels=tuple(symmetry_labels(config.symmetry.classes)),
        )

    def _pairs(self) -> list[tuple[str, str]]:
        variants = self.config.classification.variants
        standalone = {variant.mask: variant.name for variant in variants if variant.fusion is Fusion.NONE}
        return [(standalone[v.mask], v.name) for v in variants if v.fusion is not Fusion.NONE and v.mask in standalone]
