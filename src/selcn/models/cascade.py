"""The whole method in one module: a graph of networks, from image to lesion, classes and their saliency."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.data.imaging.masks import LESION_THRESHOLD
from selcn.data.views import FLIPS, VIEWS, flipped
from selcn.models.backbones import resize_images
from selcn.models.classifier import Classifier
from selcn.models.explained import explain, mean, prefer
from selcn.models.features import FeatureDistance, pooled_features
from selcn.models.heads import HeadOutput
from selcn.models.masking import add_mask, apply_masking, keep_largest
from selcn.models.mirror import Mirrored
from selcn.models.segmenter import Segmenter, lesion_probability
from selcn.saliency.controls import replace_saliency

_CELL = 8  # pixels; finer than the feature grid of any backbone here
Specs = Mapping[str, SegmenterSpec | ClassifierSpec]
"""The networks of a cascade by name, each after those it needs."""

Measured = dict[tuple[str, tuple[int, int] | None], Mirrored]
"""Measured symmetry of one lesion, by the masking and the size in pixels of the image that it is measured on."""


@dataclass
class Pass:
    """One forward pass of a cascade on N images.

    Attributes:
        lesion: probability that a pixel is lesion (N, 1, H, W); None where there is no segmentation network.
        outputs: of each classifier, by name.
        saliency: of the class that each classifier predicts (N, 1, h, w) in [0, 1], by name; of the segmentation
            network the map of its mask, see `lesion_map`.
        regions: what maskings leave visible of the lesion (N, 1, H, W), 0 or 1, by name, once one is applied.
        mirrored: the lesion's measured symmetry, once a network has measured it.
    """

    lesion: Tensor | None = None
    outputs: dict[str, HeadOutput] = field(default_factory=dict)
    saliency: dict[str, Tensor] = field(default_factory=dict)
    regions: dict[str, Tensor] = field(default_factory=dict)
    mirrored: Measured = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What is known of N images in place of what networks predict, as a person intervenes in a concept bottleneck.

    -1 marks images of which it is not known (Koh et al. 2020, Concept bottleneck models, arXiv:2007.04612).

    Attributes:
        lesion: 0 or 1 (N, 1, H, W); None where no image has a known mask. The segmentation network passes over these
            images.
        classes: class numbers int64 (N,), by the classifier's name; later networks read the saliency of these classes.
        saliency: (N, 1, h, w) in [0, 1] at the classifier's own grid, by its name; later networks read it.
        metadata: (N, `selcn.labels.metadata.WIDTH`), zeros where values are missing; None where all are.
    """

    lesion: Tensor | None = None
    classes: Mapping[str, Tensor] = field(default_factory=dict)
    saliency: Mapping[str, Tensor] = field(default_factory=dict)
    metadata: Tensor | None = None


NOTHING = Known()


class Cascade(nn.Module):
    """One member of an ensemble: the networks of a graph, none of which was trained on the lesions of one fold.

    Args:
        specs: the networks' specifications by name, in the order in which they run.
        networks: the networks by name.
        distance: of the last classifier's features from those of training images; None where unknown.
    """

    def __init__(
        self, specs: Specs, networks: Mapping[str, Segmenter | Classifier], distance: FeatureDistance | None = None
    ) -> None:
        super().__init__()
        self.specs = dict(specs)
        self.networks = nn.ModuleDict(dict(networks))
        self.distance = distance
        self.distance_earlier: FeatureDistance | None = None  # at the stage before; no prediction uses it

    @property
    def methods(self) -> dict[str, str]:
        """The saliency method of each classifier by name."""
        return {name: spec.saliency for name, spec in self.specs.items() if isinstance(spec, ClassifierSpec)}

    def forward(self, images: Tensor, known: Known = NOTHING, same: Pass | None = None) -> Pass:
        """Run all networks.

        Args:
            images: (N, 3, H, W) in [0, 1].
            known: what is known of them in place of what networks predict.
            same: on the same images, of a cascade with the same segmentation network; its lesion is taken over.
        """
        return self._run(self.specs, images, known, same)

    def before(self, network: str, images: Tensor, known: Known = NOTHING, same: Pass | None = None) -> Pass:
        """Run the networks that one needs, without itself and any other.

        Args:
            network: name of the network that needs them.
            images: (N, 3, H, W) in [0, 1].
            known: what is known of them in place of what networks predict.
            same: see `forward`; it ran the same networks.
        """
        needed = self._needs(network)
        return self._run([name for name in self.specs if name in needed], images, known, same)

    def _needs(self, network: str) -> set[str]:
        """Names of the networks whose output a network takes, directly or through others."""
        spec = self.specs[network]
        if isinstance(spec, SegmenterSpec):
            return set()
        masks = {name for name, one in self.specs.items() if isinstance(one, SegmenterSpec)}
        own = {*spec.reads, *(masks if spec.needs_mask else ())}
        return own.union(*(self._needs(name) for name in own))

    def _run(self, names: Iterable[str], images: Tensor, known: Known, same: Pass | None) -> Pass:
        found = Pass() if same is None else Pass(same.lesion, regions=same.regions, mirrored=same.mirrored)
        for name in names:
            spec = self.specs[name]
            if isinstance(spec, SegmenterSpec):
                if found.lesion is None:
                    found.lesion = self._segment_unknown(name, images, known.lesion)
                found.saliency[name] = lesion_map(found.lesion)
            else:
                self.add_classifier(name, self.look(name, images, found.lesion, found.regions), found, known)
        return found

    def add_classifier(self, name: str, seen: Tensor, found: Pass, known: Known = NOTHING) -> None:
        """Run a classifier, and add its output and saliency to a pass.

        Args:
            name: of the classifier.
            seen: masked images (N, 3, H, W) in [0, 1], see `look`.
            found: of the networks before it.
            known: what is known of the images in place of what networks predict.
        """
        spec = self.specs[name]
        assert isinstance(spec, ClassifierSpec)
        read = [found.saliency[one] for one in spec.reads]
        found.outputs[name] = self.classify(name, seen, read, known.metadata, found.lesion, found.mirrored)
        own = explain(found.outputs[name], known.classes.get(name), method=spec.saliency)
        found.saliency[name] = prefer(known.saliency.get(name), own)

    def _segment_unknown(self, name: str, images: Tensor, known: Tensor | None) -> Tensor:
        """Lesion probability (N, 1, H, W) of images, of which the network sees those without a known mask."""
        if known is None:
            return self.segment(name, images)
        lesion, unknown = known.to(images), known[:, 0, 0, 0] < 0
        return lesion.index_put((unknown,), self.segment(name, images[unknown])) if bool(unknown.any()) else lesion

    def segment(self, name: str, images: Tensor) -> Tensor:
        """Lesion probability (N, 1, H, W).

        Args:
            name: of the segmentation network.
            images: (N, 3, H, W) in [0, 1].
        """
        spec = self.specs[name]
        assert isinstance(spec, SegmenterSpec)
        lesion = lesion_probability(self.networks[name], images, flips=spec.flips)
        return keep_largest(lesion) if spec.largest_region else lesion

    def look(
        self, name: str, images: Tensor, lesion: Tensor | None, regions: dict[str, Tensor] | None = None
    ) -> Tensor:
        """The masked images (N, 3, H, W) that a classifier takes, or (N, 4, H, W) where the mask is a channel of them.

        Args:
            name: of the classifier.
            images: (N, 3, H, W) in [0, 1].
            lesion: probability that a pixel is lesion (N, 1, H, W); None leaves the images unmasked.
            regions: what maskings leave visible of this lesion, see `apply_masking`.
        """
        if lesion is None:
            return images
        mask, spec = (lesion > LESION_THRESHOLD).to(images.dtype), self.specs[name]
        assert isinstance(spec, ClassifierSpec)
        return add_mask(apply_masking(images, mask, spec.masking, regions), mask, spec.input)

    def classify(
        self,
        name: str,
        seen: Tensor,
        saliency: Sequence[Tensor],
        metadata: Tensor | None = None,
        lesion: Tensor | None = None,
        mirrored: Measured | None = None,
    ) -> HeadOutput:
        """Output of a classifier.

        Args:
            name: of the classifier.
            seen: masked images (N, 3, H, W) in [0, 1], see `look`.
            saliency: a map (N, 1, h, w) in [0, 1] of each network that it reads, in the order of its specification.
            metadata: see `Known`.
            lesion: probability that a pixel is lesion (N, 1, H, W), of a network that measures symmetry.
            mirrored: of the same images and lesion, see `Pass`; what is measured is added. All views share it.

        Returns:
            The upright image's pass; with `flips` its logits are the log of the probabilities averaged over all flips.
        """
        network = self.networks[name]
        assert isinstance(network, Classifier)
        spec = self.specs[name]
        assert isinstance(spec, ClassifierSpec)
        count = VIEWS if spec.flips else 1
        measured = None
        if spec.takes_mask and lesion is not None:
            shared, key = {} if mirrored is None else mirrored, (spec.masking, network.size)
            if key not in shared:
                shared[key] = network.measure(seen, (lesion > LESION_THRESHOLD).to(seen))
            measured = shared[key]
        features = [network.features(view, None, measured) for view in flipped(seen, count)]
        return self.classify_features(name, features, saliency, metadata)

    def read(self, name: str, saliency: Sequence[Tensor]) -> list[Tensor]:
        """The maps that a classifier reads: saliency, or the control that replaces it.

        Args:
            name: of the classifier.
            saliency: see `classify`.
        """
        control = self.specs[name].control  # type: ignore[union-attr]  # of a classifier
        # A fixed seed, so that a control is reproducible.
        return [replace_saliency(one, control, torch.Generator().manual_seed(0)) for one in saliency]

    def classify_features(
        self, name: str, features: Sequence[Tensor], saliency: Sequence[Tensor], metadata: Tensor | None = None
    ) -> HeadOutput:
        """Output of a classifier, of its backbone's features.

        Args:
            name: of the classifier.
            features: (N, C, h, w) of the images and, with `flips`, of their other views, see `selcn.data.views`; these
                may be averaged over positions where nothing is read.
            saliency: see `classify`.
            metadata: see `Known`.

        Returns:
            See `classify`.
        """
        spec, network = self.specs[name], self.networks[name]
        assert isinstance(spec, ClassifierSpec)
        assert isinstance(network, Classifier)
        read = self.read(name, saliency)
        if metadata is not None:
            metadata = replace_saliency(metadata, spec.metadata_control, torch.Generator().manual_seed(0))
        upright = network.read_out(features[0], read, metadata)
        if not spec.flips:
            return upright
        turned = [
            network.read_out(view, [one.flip(axes) for one in read], metadata).logits
            for view, axes in zip(features[1:], FLIPS, strict=True)
        ]
        probabilities = mean([logits.softmax(dim=1) for logits in (upright.logits, *turned)])
        return upright._replace(logits=probabilities.log())

    def measure_distance(self, found: Pass) -> Tensor:
        """Distance of the last classifier's features from those of training images (N,), see `FeatureDistance`.

        Args:
            found: of this cascade, with the outputs of all its networks.

        Returns:
            Distances in standard deviations; 0 where there is no classifier or no fitted distance.
        """
        if not found.outputs:
            assert found.lesion is not None
            return torch.zeros_like(found.lesion[:, 0, 0, 0])
        features = pooled_features(list(found.outputs.values())[-1])
        return torch.zeros_like(features[:, 0]) if self.distance is None else self.distance(features)


def lesion_map(lesion: Tensor) -> Tensor:
    """The map that later networks read of a mask: the share of lesion in cells of 8 x 8 pixels (N, 1, H // 8, W // 8).

    Args:
        lesion: probability that a pixel is lesion (N, 1, H, W).
    """
    height, width = lesion.shape[-2:]
    return resize_images((lesion > LESION_THRESHOLD).to(torch.float32), (width // _CELL, height // _CELL))
