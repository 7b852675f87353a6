"""The networks that a run has trained, loaded again: by stage, as members of the cascade, and for its bundle."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from torch import nn

from selcn.config import RunConfig, Variant
from selcn.inference.assembly import load_weights
from selcn.inference.bundle import NETWORKS, BundleConfig, symmetry_labels
from selcn.labels import Fusion, Masking
from selcn.models.build import build_classifier, build_segmenter, build_symmetry
from selcn.models.cascade import Cascade
from selcn.models.segmenter import Segmenter
from selcn.models.symmetry import SymmetryNetwork
from selcn.runs.plan import classification_step, segmentation_step, symmetry_step
from selcn.training.trainer import WEIGHTS

Network = TypeVar("Network", bound=nn.Module)


class Members:
    """Networks of a run by fold.

    Args:
        config: of the run.
        folder: of the run.
        folds: how many members there are.
    """

    def __init__(self, config: RunConfig, folder: Path, folds: int) -> None:
        self.config, self.folder, self.folds = config, folder, range(folds)

    def segmenters(self) -> list[Segmenter]:
        """The segmenter of each fold."""
        return [self.segmenter(fold) for fold in self.folds]

    def symmetries(self, masking: Masking) -> list[SymmetryNetwork]:
        """The symmetry network of each fold, for one masking."""
        return [self.symmetry(masking, fold) for fold in self.folds]

    def segmenter(self, fold: int) -> Segmenter:
        """The segmenter of one fold."""
        return self._load(build_segmenter(self.config.segmentation, pretrained=False), segmentation_step(fold))

    def symmetry(self, masking: Masking, fold: int) -> SymmetryNetwork:
        """The symmetry network of one fold, for one masking."""
        section = self.config.symmetry.of(masking)
        return self._load(build_symmetry(section, pretrained=False), symmetry_step(masking, fold))

    def cascades(self, fold: int, variants: Sequence[Variant] | None = None) -> dict[str, Cascade]:
        """Variants, all where none are named, of one member by their names.

        They share the segmenter, and the symmetry network of a masking.
        """
        segmenter, variants = self.segmenter(fold), variants or self.config.classification.variants
        symmetries = {masking: self.symmetry(masking, fold) for masking in set(map(self.cam_mask, variants))}
        cascades = {}
        for variant in variants:
            section = self.config.classification.of(variant)
            classifier = build_classifier(section, variant, pretrained=False)
            self._load(classifier, classification_step(variant, fold))
            cam_mask = self.cam_mask(variant)
            cascades[variant.name] = Cascade(
                segmenter,
                symmetries[cam_mask],
                classifier,
                cam_mask,
                variant.mask,
                control=variant.control,
                flips=section.flips,
            )
        return cascades

    def cam_mask(self, variant: Variant) -> Masking:
        """The masking of the symmetry network that goes with a variant, whether or not it reads its saliency."""
        return variant.cam_mask or self.config.cam_masks[0]

    def deployed(self) -> Variant:
        """The variant that is bundled: the first that reads saliency, else the first."""
        variants = self.config.classification.variants
        reading = (v for v in variants if v.fusion is not Fusion.NONE and v.control is None)
        return next(reading, variants[0])

    def weights(self, variant: Variant, cam_mask: Masking | None = None) -> list[dict[str, Path]]:
        """Weight files of each member for one variant, by `NETWORKS`; its own symmetry network or that of a masking."""
        cam_mask = cam_mask or self.cam_mask(variant)
        steps = [
            (segmentation_step(fold), symmetry_step(cam_mask, fold), classification_step(variant, fold))
            for fold in self.folds
        ]
        return [dict(zip(NETWORKS, [self.folder / name / WEIGHTS for name in names], strict=True)) for names in steps]

    def bundle_config(self, variant: Variant, split: str) -> BundleConfig:
        """What a bundle of one variant records; ``split`` is the split's fingerprint."""
        config, cam_mask = self.config, self.cam_mask(variant)
        # Weights come with the bundle; paths of the machine that trained it stay behind.
        bare = {"weights": None}
        return BundleConfig(
            prepare=config.prepare.model_copy(update={"store": None}),
            segmentation=config.segmentation.model_copy(update=bare),
            symmetry=config.symmetry.of(cam_mask).model_copy(update=bare),
            classification=config.classification.of(variant).model_copy(update=bare),
            variant=variant,
            cam_mask=cam_mask,
            members=len(self.folds),
            split=split,
            symmetry_labels=tuple(symmetry_labels(config.symmetry.classes)),
        )

    def _load(self, network: Network, step: str) -> Network:
        load_weights(network, self.folder / step / WEIGHTS)
        return network
