"""Build a network from its specification."""

from selcn.config import ClassificationSection, ClassifierSpec, SegmentationSection, SegmenterSpec
from selcn.config.sections import IMAGE_AND_MASK
from selcn.models.classifier import Classifier
from selcn.models.mirror_classifier import MirrorClassifier
from selcn.models.segmenter import Segmenter


def build_network(
    spec: SegmenterSpec | ClassifierSpec, *, weights: str | None = None, dropout: float = 0.0
) -> Segmenter | Classifier:
    """Build a network from its specification.

    Args:
        spec: its architecture.
        weights: starting weights of encoder or backbone: None for random ones, `imagenet`, or a safetensors file.
        dropout: of a classifier in training, in [0, 1).

    Raises:
        ConfigError: a name is unknown, or the weights are unavailable.
    """
    if isinstance(spec, SegmenterSpec):
        return Segmenter(spec.architecture, spec.encoder, decoder=spec.decoder, weights=weights, size=spec.size)
    if spec.measured:
        return MirrorClassifier(len(spec.labels.classes), size=spec.size)
    return Classifier(
        spec.backbone,
        len(spec.labels.classes),
        fusions=list(spec.reads.values()),
        head=spec.head,
        weights=weights,
        dropout=dropout,
        size=spec.size,
        metadata=spec.metadata,
        measures=spec.measures,
        mask=spec.input == IMAGE_AND_MASK,
        reduction=spec.reduction,
    )


def build_for_training(section: SegmentationSection | ClassificationSection) -> Segmenter | Classifier:
    """Build a network with the starting weights and the dropout of its configuration.

    Args:
        section: architecture and training of the network.

    Raises:
        ConfigError: see `build_network`.
    """
    dropout = section.dropout if isinstance(section, ClassificationSection) else 0.0
    weights = None if section.init else section.weights  # `init` brings all that `weights` would
    network = build_network(section.spec, weights=weights, dropout=dropout)
    if isinstance(network, Classifier) and isinstance(section, ClassificationSection) and network.fuse:
        network.fuse.start(section.fusion_start)
    return network
