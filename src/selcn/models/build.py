"""Configuration -> network."""

from selcn.config import ClassificationSection, SegmentationSection, SymmetrySection, Variant
from selcn.labels import Diagnosis
from selcn.models.classifier import LesionClassifier
from selcn.models.segmenter import Segmenter
from selcn.models.symmetry import SymmetryNetwork


def build_segmenter(section: SegmentationSection, *, pretrained: bool) -> Segmenter:
    """The segmenter of a configuration, with its starting weights where ``pretrained``, else with random ones."""
    weights = section.weights if pretrained else None
    return Segmenter(section.architecture, section.encoder, weights=weights, size=section.size)


def build_symmetry(section: SymmetrySection, *, pretrained: bool) -> SymmetryNetwork:
    """The symmetry network of a configuration; see `build_segmenter`."""
    weights = section.weights if pretrained else None
    return SymmetryNetwork(
        section.backbone, section.classes, weights=weights, dropout=section.dropout, size=section.size
    )


def build_classifier(section: ClassificationSection, variant: Variant, *, pretrained: bool) -> LesionClassifier:
    """The lesion classifier of a configuration and one of its variants; see `build_segmenter`."""
    return LesionClassifier(
        section.backbone,
        classes=len(Diagnosis),
        fusion=variant.fusion,
        weights=section.weights if pretrained else None,
        dropout=section.dropout,
        size=section.size,
    )
