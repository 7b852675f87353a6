"""Several cascades that answer as one: probabilities and saliency of all members averaged."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from selcn.config import SegmenterSpec
from selcn.models.cascade import NOTHING, Cascade, Known, Pass, Specs
from selcn.models.explained import explain_together, mean, prefer


class CascadeOutput(NamedTuple):
    """The averaged prediction of an ensemble for N images (N, 3, H, W).

    Attributes:
        lesion: probability that a pixel is lesion (N, 1, H, W), 0 or 1 where it is known; None where there is no
            segmentation network.
        probabilities: of the classes as the networks predict them (N, C), by the classifier's name.
        saliency: of the known or else the predicted class (N, 1, h, w) in [0, 1], by the classifier's name.
        distance: of the target's features from those of training images (N,); 0 where that is unknown.
    """

    lesion: Tensor | None
    probabilities: dict[str, Tensor]
    saliency: dict[str, Tensor]
    distance: Tensor


class Ensemble(nn.Module):
    """Several cascades whose probabilities and saliency are averaged.

    Args:
        members: cascades of the same networks.
    """

    def __init__(self, members: Sequence[Cascade]) -> None:
        super().__init__()
        self.members: Iterable[Cascade] = nn.ModuleList(members)  # type: ignore[assignment]

    def forward(self, images: Tensor, known: Known = NOTHING) -> CascadeOutput:
        """Predict with every member and average.

        Args:
            images: (N, 3, H, W) in [0, 1].
            known: what is known of them in place of what networks predict.
        """
        return combine(self.passes(images, known), known)

    def passes(self, images: Tensor, known: Known = NOTHING) -> list[tuple[Cascade, Pass]]:
        """Each member with its pass; what members have in common, segmentation and masking, is computed once.

        Args:
            images: (N, 3, H, W) in [0, 1].
            known: what is known of them in place of what networks predict.
        """
        found: list[tuple[Cascade, Pass]] = []
        for member in self.members:
            found.append((member, member(images, known, same_lesion(member, found))))
        return found

    def segment(self, images: Tensor) -> Tensor:
        """Lesion probability (N, 1, H, W), averaged over the members; of cascades with a segmentation network.

        Args:
            images: (N, 3, H, W) in [0, 1].
        """
        first, *others = self.members
        distinct = [first, *(member for member in others if not _share_segmenter(member, first))]
        return mean([member.segment(_segmenter(member.specs), images) for member in distinct])


def combine(passes: Sequence[tuple[Cascade, Pass]], known: Known = NOTHING) -> CascadeOutput:
    """Average the members' passes on the same images; saliency is that of the ensemble's predicted classes.

    Each member's classifiers read the saliency of that member's own prediction, as in training, unless it is known.

    Args:
        passes: each member with its pass on the same N images.
        known: what was known of the images in place of what networks predict.
    """
    lesions = [found.lesion for _, found in passes if found.lesion is not None]
    explained = {
        name: explain_together([found.outputs[name] for _, found in passes], known.classes.get(name), method=method)
        for name, method in passes[0][0].methods.items()
    }
    return CascadeOutput(
        lesion=mean(lesions) if lesions else None,
        probabilities={name: one.probabilities for name, one in explained.items()},
        saliency={name: prefer(known.saliency.get(name), one.saliency) for name, one in explained.items()},
        distance=mean([member.measure_distance(found) for member, found in passes]),
    )


def same_lesion(member: Cascade, found: Sequence[tuple[Cascade, Pass]]) -> Pass | None:
    """The pass of a member that has its segmentation network in common with another, or None.

    Args:
        member: that has no pass yet.
        found: other members with their passes on the same images.
    """
    return next((one for other, one in found if _share_segmenter(member, other)), None)


def _share_segmenter(one: Cascade, other: Cascade) -> bool:
    """Whether two members have one segmentation network in common."""
    names = [name for name, spec in one.specs.items() if isinstance(spec, SegmenterSpec)]
    return any(one.networks[name] is other.networks[name] for name in names)


def _segmenter(specs: Specs) -> str:
    return next(name for name, spec in specs.items() if isinstance(spec, SegmenterSpec))
