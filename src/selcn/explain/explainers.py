"""Explainers: saliency of any network of a cascade."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from selcn.config import ClassifierSpec, SegmenterSpec
from selcn.errors import ConfigError
from selcn.explain.lesion import LESION_LABELS, explain_lesion
from selcn.labels import MIRROR
from selcn.models.cascade import Cascade, Explained, explain_together
from selcn.models.heads import HeadOutput
from selcn.models.segmenter import Segmenter


class View(NamedTuple):
    """The input of a member's classifier for N images, and its forward pass.

    Attributes:
        seen: masked images (N, 3, H, W) in [0, 1].
        answer: from images like ``seen`` to an output; the other inputs of the classifier, such as the saliency of
            earlier networks for these N images, are fixed.
    """

    seen: Tensor
    answer: Callable[[Tensor], HeadOutput]


class Explainer(nn.Module, ABC):
    """One network of an ensemble, averaged over the members.

    Attributes:
        labels: class names in order.
    """

    labels: Sequence[str]

    @abstractmethod
    def explain(self, images: Tensor, target: int | None = None) -> Explained:
        """Probabilities, and the saliency of one class.

        Args:
            images: (N, 3, H, W) in [0, 1].
            target: class number; None for each image's predicted class.
        """


class ClassExplainer(Explainer):
    """Saliency of a classification network.

    Args:
        members: cascades that hold it and what it needs.
        network: its name.
        method: name of a saliency method; None for the network's own.
    """

    def __init__(self, members: Sequence[Cascade], network: str, method: str | None = None) -> None:
        super().__init__()
        self.members: Sequence[Cascade] = nn.ModuleList(members)  # type: ignore[assignment]
        self.network, self.method = network, method or members[0].methods[network]
        self.labels = members[0].specs[network].labels.names  # type: ignore[union-attr]  # of a classifier

    def look(self, images: Tensor) -> list[View]:
        """The input of each member's classifier.

        Args:
            images: (N, 3, H, W) in [0, 1].
        """
        return [self._look(member, images) for member in self.members]

    def explain(self, images: Tensor, target: int | None = None) -> Explained:
        """Averaged probabilities, and the averaged saliency of one class.

        Args:
            images: (N, 3, H, W) in [0, 1].
            target: class number; None for each image's predicted class.

        Raises:
            ConfigError: there is no saliency method of the explainer's name.
        """
        outputs = [view.answer(view.seen) for view in self.look(images)]
        return explain_together(outputs, target, method=self.method)

    def _look(self, member: Cascade, images: Tensor) -> View:
        earlier = member.before(self.network, images)
        saliency = [earlier.saliency[one] for one in member.specs[self.network].reads]  # type: ignore[union-attr]
        seen = member.look(self.network, images, earlier.lesion)
        return View(seen, lambda images: member.classify(self.network, images, saliency, earlier.lesion))


class LesionExplainer(Explainer):
    """Saliency of a segmentation network for the pixels predicted as lesion, or as background.

    Args:
        segmenters: of each member.
    """

    labels = LESION_LABELS

    def __init__(self, segmenters: Sequence[Segmenter]) -> None:
        super().__init__()
        self.segmenters: Sequence[Segmenter] = nn.ModuleList(segmenters)  # type: ignore[assignment]

    def explain(self, images: Tensor, target: int | None = None) -> Explained:
        """Probabilities and saliency, averaged over the members; see `explain_lesion`.

        Args:
            images: (N, 3, H, W) in [0, 1].
            target: 0 or None for lesion, 1 for background.

        Returns:
            With the mean lesion probability of the explained pixels and its complement (N, 2).
        """
        chosen = torch.full((len(images),), target or 0, device=images.device)
        lesion, saliency = zip(
            *(explain_lesion(segmenter, images, background=bool(target)) for segmenter in self.segmenters), strict=True
        )
        probability = torch.stack(lesion).mean(dim=0)
        return Explained(torch.stack([probability, 1 - probability], dim=1), chosen, torch.stack(saliency).mean(dim=0))


def build_explainer(members: Sequence[Cascade], network: str, method: str | None = None) -> Explainer:
    """The explainer of any network.

    Args:
        members: cascades that hold it and what it needs.
        network: its name.
        method: name of a saliency method, for a classifier; None for the network's own.

    Raises:
        ConfigError: the method is of measured networks and this is none, or the other way round.
    """
    spec = members[0].specs[network]
    if method and isinstance(spec, ClassifierSpec) and (method.lower() == MIRROR) != spec.measured:
        raise ConfigError(f"saliency {method}: network {network} has the map {spec.saliency}; leave the method out")
    if isinstance(spec, SegmenterSpec):
        return LesionExplainer([member.networks[network] for member in members])  # type: ignore[misc]
    return ClassExplainer(members, network, method)


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
            for module in member.networks[twin.network].modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()
    return twin
