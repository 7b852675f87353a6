"""The three heads of a cascade as something that can be asked why: lesion, symmetry, diagnosis."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from selcn.data.imaging.masks import LESION_THRESHOLD
from selcn.explain.lesion import LESION_LABELS, explain_lesion
from selcn.labels import Masking
from selcn.models.cascade import Cascade, Explained, explain, explain_together
from selcn.models.heads import Trace
from selcn.models.masking import apply_masking
from selcn.models.segmenter import Segmenter
from selcn.models.symmetry import SymmetryNetwork


class View(NamedTuple):
    """What a network sees of N images, and what it makes of that.

    Attributes:
        seen: masked images (N, 3, H, W) in [0, 1].
        judge: from images like those to a trace; all else that it reads, such as the symmetry saliency of these N
            images, stays as it was.
    """

    seen: Tensor
    judge: Callable[[Tensor], Trace]


class Member(Protocol):
    """One member's networks up to a head; an `nn.Module`."""

    def look(self, images: Tensor) -> View:
        """What the head's network sees of images (N, 3, H, W) in [0, 1]."""

    def judged(self) -> nn.Module:
        """The head's network."""


class SymmetryMember(nn.Module):
    """A segmenter and the symmetry network that sees images masked by it."""

    def __init__(self, segmenter: Segmenter, network: SymmetryNetwork, masking: Masking) -> None:
        super().__init__()
        self.segmenter, self.network, self.masking = segmenter, network, masking

    def look(self, images: Tensor) -> View:
        """What the symmetry network sees; without masking nobody asks the segmenter."""
        if self.masking is Masking.NONE:
            return View(images, self.network.trace)
        lesion = self.segmenter(images).sigmoid() > LESION_THRESHOLD
        return View(apply_masking(images, lesion, self.masking), self.network.trace)

    def judged(self) -> nn.Module:
        """The symmetry network."""
        return self.network


class DiagnosisMember(nn.Module):
    """A whole cascade."""

    def __init__(self, cascade: Cascade) -> None:
        super().__init__()
        self.cascade = cascade

    def look(self, images: Tensor) -> View:
        """What the classifier sees, and what it makes of that with these images' symmetry saliency."""
        cascade = self.cascade
        lesion = cascade.outline(images)
        saliency = explain(cascade.judge_symmetry(images, lesion))
        seen = apply_masking(images, lesion > LESION_THRESHOLD, cascade.mask)
        return View(seen, lambda images: cascade.classify(images, saliency))

    def judged(self) -> nn.Module:
        """The lesion classifier."""
        return self.cascade.classifier


class Explainer(nn.Module, ABC):
    """Several members that are asked together.

    Attributes:
        labels: class names in order.
    """

    labels: Sequence[str]

    @abstractmethod
    def explain(self, images: Tensor, target: int | None = None) -> Explained:
        """What is said of images (N, 3, H, W) in [0, 1], and where one class, or the predicted one, comes from."""


class ClassExplainer(Explainer):
    """Symmetry or diagnosis.

    Args:
        members: who is asked.
        labels: class names in order.
    """

    def __init__(self, members: Sequence[Member], labels: Sequence[str]) -> None:
        super().__init__()
        self.members: Sequence[Member] = nn.ModuleList(members)  # type: ignore[arg-type, assignment]
        self.labels = labels

    def look(self, images: Tensor) -> list[View]:
        """What each member sees."""
        return [member.look(images) for member in self.members]

    def explain(self, images: Tensor, target: int | None = None) -> Explained:
        """See `Explainer`."""
        return explain_together([view.judge(view.seen) for view in self.look(images)], target)


class LesionExplainer(Explainer):
    """Segmentation: where what is called lesion (or background) comes from.

    Args:
        segmenters: who is asked.
    """

    labels = LESION_LABELS

    def __init__(self, segmenters: Sequence[Segmenter]) -> None:
        super().__init__()
        self.segmenters: Sequence[Segmenter] = nn.ModuleList(segmenters)  # type: ignore[assignment]

    def explain(self, images: Tensor, target: int | None = None) -> Explained:
        """See `Explainer`; the predicted class is always lesion, and its probability that of the pixels called so."""
        chosen = torch.full((len(images),), target or 0, device=images.device)
        lesion, saliency = zip(
            *(explain_lesion(segmenter, images, background=bool(target)) for segmenter in self.segmenters), strict=True
        )
        probability = torch.stack(lesion).mean(dim=0)
        return Explained(torch.stack([probability, 1 - probability], dim=1), chosen, torch.stack(saliency).mean(dim=0))


def randomised(explainer: ClassExplainer, seed: int = 0) -> ClassExplainer:
    """A copy whose judging networks have new random weights, all that stands before them being kept.

    A map that stays the same with random weights cannot tell what a network learned (Adebayo et al. 2018).
    """
    twin = copy.deepcopy(explainer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for member in twin.members:
            for module in member.judged().modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()
    return twin
