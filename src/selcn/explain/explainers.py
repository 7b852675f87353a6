"""Explainers: saliency of any network of a cascade."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.data.imaging.masks import LESION_THRESHOLD
from selcn.errors import ConfigError
from selcn.explain.layers import as_map, find_layer
from selcn.explain.lesion import LESION_LABELS, explain_lesion
from selcn.labels import MIRROR
from selcn.models.cascade import NOTHING, Cascade, Known, Pass
from selcn.models.classifier import Classifier
from selcn.models.ensemble import same_lesion
from selcn.models.explained import Explained, explain_together
from selcn.models.heads import HeadOutput
from selcn.models.segmenter import Segmenter
from selcn.saliency.gradients import gradient_at
from selcn.saliency.methods import find_layer_saliency, find_saliency


class View(NamedTuple):
    """The input of a member's classifier for N images, and its forward pass.

    Attributes:
        seen: masked images (N, 3, H, W) in [0, 1].
        answer: from images like ``seen`` to an output; the other inputs of the classifier, such as the saliency of
            earlier networks for these N images, are fixed.
        upright: from such images to logits (N, classes), without flips.
    """

    seen: Tensor
    answer: Callable[[Tensor], HeadOutput]
    upright: Callable[[Tensor], Tensor]


class Choice(NamedTuple):
    """What is chosen of how a classifier is explained.

    Attributes:
        method: name of a saliency method; None for the network's own.
        layer: name of a layer, see `find_layer`; None for the target layer, the input of the head.
    """

    method: str | None = None
    layer: str | None = None


OWN = Choice()


class Explainer(nn.Module, ABC):
    """One network of an ensemble, averaged over the members.

    Attributes:
        labels: class names in order.
    """

    labels: Sequence[str]

    @abstractmethod
    def explain(self, images: Tensor, target: int | None = None, known: Known = NOTHING) -> Explained:
        """Probabilities, and the saliency of one class.

        Args:
            images: (N, 3, H, W) in [0, 1].
            target: class number; None for each image's predicted class.
            known: what is known of the images, such as their metadata.
        """


class ClassExplainer(Explainer):
    """Saliency of a classification network.

    Args:
        members: cascades that hold it and what it needs.
        network: its name.
        choice: of method and layer.

    Raises:
        ConfigError: there is no such method or layer.
    """

    def __init__(self, members: Sequence[Cascade], network: str, choice: Choice = OWN) -> None:
        super().__init__()
        self.members: Sequence[Cascade] = nn.ModuleList(members)  # type: ignore[assignment]
        self.network, self.method = network, choice.method or members[0].methods[network]
        self.layer = choice.layer
        (find_layer_saliency if self.layer else find_saliency)(self.method)
        if self.layer:
            find_layer(self._classifier(members[0]), self.layer)
        self.labels = members[0].specs[network].labels.names  # type: ignore[union-attr]  # of a classifier

    def look(self, images: Tensor, known: Known = NOTHING) -> list[View]:
        """The input of each member's classifier.

        Args:
            images: (N, 3, H, W) in [0, 1].
            known: what is known of the images, such as their metadata.
        """
        found: list[tuple[Cascade, Pass]] = []
        for member in self.members:
            found.append((member, member.before(self.network, images, known, same_lesion(member, found))))
        return [self._view(member, earlier, images, known) for member, earlier in found]

    def explain(self, images: Tensor, target: int | Tensor | None = None, known: Known = NOTHING) -> Explained:
        """Averaged probabilities, and the averaged saliency of one class.

        Args:
            images: (N, 3, H, W) in [0, 1].
            target: class number, or one an image, int64 (N,); None for each image's predicted class.
            known: what is known of the images, such as their metadata.

        Raises:
            ConfigError: the chosen layer cannot be explained.
        """
        views = self.look(images, known)
        explained = explain_together([view.answer(view.seen) for view in views], target, method=self.method)
        if self.layer is None:
            return explained
        maps = [
            self._explain_layer(self._classifier(member), view, explained.target)
            for member, view in zip(self.members, views, strict=True)
        ]
        return explained._replace(saliency=torch.stack(maps).mean(dim=0))

    def single_members(self) -> "list[ClassExplainer]":
        """An explainer of each member alone, of the same networks."""
        choice = Choice(self.method, self.layer)
        return [ClassExplainer([member], self.network, choice) for member in self.members]

    def _explain_layer(self, network: Classifier, view: View, target: Tensor) -> Tensor:
        """Saliency (N, 1, h, w) of one member at the chosen layer."""
        layer = str(self.layer)
        try:
            found = gradient_at(view.upright, find_layer(network, layer), view.seen, target)
        except (RuntimeError, TypeError, ValueError) as error:  # no gradient reaches it, or it runs several times
            raise ConfigError(f"--layer {layer}: cannot be explained ({error})") from error
        activations, gradient = (as_map(network, layer, one, view.seen) for one in found)
        return find_layer_saliency(self.method)(activations, gradient)

    def _classifier(self, member: Cascade) -> Classifier:
        network = member.networks[self.network]
        assert isinstance(network, Classifier)
        return network

    def _view(self, member: Cascade, earlier: Pass, images: Tensor, known: Known) -> View:
        saliency = [earlier.saliency[one] for one in member.specs[self.network].reads]  # type: ignore[union-attr]
        seen = member.look(self.network, images, earlier.lesion, earlier.regions)
        read = member.read(self.network, saliency)

        mask = None if earlier.lesion is None else (earlier.lesion > LESION_THRESHOLD).to(images)

        def upright(images: Tensor) -> Tensor:
            maps = [one.clone() for one in read]  # may be of inference mode
            logits: Tensor = self._classifier(member)(images, maps, known.metadata, mask)
            return logits

        def answer(images: Tensor) -> HeadOutput:
            return member.classify(self.network, images, saliency, known.metadata, earlier.lesion)

        return View(seen, answer, upright)


class LesionExplainer(Explainer):
    """Saliency of a segmentation network for the pixels predicted as lesion, or as background.

    Args:
        segmenters: of each member.
    """

    labels = LESION_LABELS

    def __init__(self, segmenters: Sequence[Segmenter]) -> None:
        super().__init__()
        self.segmenters: Sequence[Segmenter] = nn.ModuleList(segmenters)  # type: ignore[assignment]

    def explain(self, images: Tensor, target: int | None = None, known: Known = NOTHING) -> Explained:  # noqa: ARG002
        """Probabilities and saliency, averaged over the members; see `explain_lesion`.

        Args:
            images: (N, 3, H, W) in [0, 1].
            target: 0 or None for lesion, 1 for background.
            known: not read.

        Returns:
            With the mean lesion probability of the explained pixels and its complement (N, 2).
        """
        chosen = torch.full((len(images),), target or 0, device=images.device)
        lesion, saliency = zip(
            *(explain_lesion(segmenter, images, background=bool(target)) for segmenter in self.segmenters), strict=True
        )
        probability = torch.stack(lesion).mean(dim=0)
        return Explained(torch.stack([probability, 1 - probability], dim=1), chosen, torch.stack(saliency).mean(dim=0))


def build_explainer(members: Sequence[Cascade], network: str, choice: Choice = OWN) -> Explainer:
    """The explainer of any network.

    Args:
        members: cascades that hold it and what it needs.
        network: its name.
        choice: of method and layer, for a classifier.

    Raises:
        ConfigError: there is no such method or layer, or they are chosen for a segmentation network.
    """
    spec, method = members[0].specs[network], choice.method
    if isinstance(spec, ClassifierSpec) and method and (method.lower() == MIRROR) != spec.measured:
        raise ConfigError(f"saliency {method}: network {network} has the map {spec.saliency}; leave the method out")
    if isinstance(spec, ClassifierSpec) and choice.layer and spec.measured:
        raise ConfigError(f"--layer {choice.layer}: network {network} is measured and has no layers; leave it out")
    if isinstance(spec, SegmenterSpec):
        if choice != OWN:
            raise ConfigError(
                f"network {network}: a segmentation network is explained by Grad-CAM++ at its deepest features; leave "
                "--method and --layer out"
            )
        return LesionExplainer([member.networks[network] for member in members])  # type: ignore[misc]
    return ClassExplainer(members, network, choice)


def randomised(explainer: ClassExplainer, seed: int = 0) -> ClassExplainer:
    """A copy whose explained network has new random weights in every member; the networks before it are kept.

    A map that stays the same with random weights cannot show what a network learned (Adebayo et al. 2018).

    Args:
        explainer: the original; not modified.
        seed: of the weights.
    """
    twin = copy.deepcopy(explainer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for member in twin.members:
            for layer in _layers(member.networks[twin.network]):
                layer.reset_parameters()  # type: ignore[operator]
    return twin


def randomised_from_top(explainer: ClassExplainer, shares: Sequence[float], seed: int = 0) -> Iterator[ClassExplainer]:
    """One copy whose explained network has new random weights in ever more of its layers, from the output down.

    Cascading randomisation (Adebayo et al. 2018): a map that explains what was learned loses its likeness as layers
    lose theirs. Layers are modules with weights, in the order in which they were built.

    Args:
        explainer: the original; not modified.
        shares: of the layers that are random, rising; at least one layer is.
        seed: of the weights.

    Yields:
        The same copy each time, with the next share at random.
    """
    twin, done = copy.deepcopy(explainer), 0
    layers = [_layers(member.networks[twin.network])[::-1] for member in twin.members]
    for share in shares:
        count = max(1, round(share * len(layers[0])))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + done)
            for of_member in layers:
                for layer in of_member[done:count]:
                    layer.reset_parameters()  # type: ignore[operator]
        done = count
        yield twin


def _layers(network: nn.Module) -> list[nn.Module]:
    """The modules that can be made random again."""
    return [module for module in network.modules() if callable(getattr(module, "reset_parameters", None))]
