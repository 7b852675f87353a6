"""The whole method on one page: image -> lesion mask -> symmetry and its saliency -> diagnosis."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from selcn.data.imaging.masks import LESION_THRESHOLD
from selcn.labels import Control, Fusion, Masking
from selcn.models.classifier import LesionClassifier
from selcn.models.features import FeatureDistance
from selcn.models.heads import Trace
from selcn.models.masking import apply_masking
from selcn.models.segmenter import Segmenter
from selcn.models.symmetry import SymmetryNetwork
from selcn.saliency.controls import replace_saliency
from selcn.saliency.gradcam_pp import grad_cam_pp

FLIPS = ([3], [2], [2, 3])


class CascadeOutput(NamedTuple):
    """What the cascade says of a batch of N images (N, 3, H, W).

    Attributes:
        lesion: probability that a pixel is lesion (N, 1, H, W).
        symmetry: class probabilities (N, 2 or 3).
        symmetry_saliency: where the predicted symmetry comes from (N, 1, h, w) in [0, 1].
        diagnosis: class probabilities (N, 7).
        diagnosis_saliency: where the predicted diagnosis comes from (N, 1, h', w') in [0, 1].
        distance: of the classifiers' features from those of training images (N,); 0 where that is not known.
    """

    lesion: Tensor
    symmetry: Tensor
    symmetry_saliency: Tensor
    diagnosis: Tensor
    diagnosis_saliency: Tensor
    distance: Tensor


class Cascade(nn.Module):
    """One member of the ensemble: three networks, none of which saw the lesions of one fold.

    Args:
        segmenter: image to mask logits.
        symmetry: masked image to symmetry logits.
        classifier: masked image and saliency to diagnosis logits.
        cam_mask: masking of what the symmetry network sees.
        mask: masking of what the classifier sees.
        control: what the classifier reads in place of the saliency, if anything.
        flips: whether the diagnosis is averaged over the image, its mirror, its flip and both.
        distance: tells how far a picture's features lie from those of training images.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        symmetry: SymmetryNetwork,
        classifier: LesionClassifier,
        cam_mask: Masking,
        mask: Masking,
        *,
        control: Control | None = None,
        flips: bool = False,
        distance: FeatureDistance | None = None,
    ) -> None:
        super().__init__()
        self.distance = distance
        self.segmenter, self.symmetry, self.classifier = segmenter, symmetry, classifier
        self.cam_mask, self.mask, self.control, self.flips = cam_mask, mask, control, flips

    def outline(self, images: Tensor) -> Tensor:
        """Lesion probability (N, 1, H, W) of images (N, 3, H, W) in [0, 1]."""
        lesion: Tensor = self.segmenter(images).sigmoid()
        return lesion

    def judge_symmetry(self, images: Tensor, lesion: Tensor) -> Trace:
        """Symmetry of images whose lesion probability is known."""
        return self.symmetry.trace(apply_masking(images, lesion > LESION_THRESHOLD, self.cam_mask))

    def diagnose(self, images: Tensor, lesion: Tensor, saliency: Tensor) -> Trace:
        """Diagnosis of images whose lesion probability and symmetry saliency (N, 1, h, w) are known."""
        return self.classify(apply_masking(images, lesion > LESION_THRESHOLD, self.mask), saliency)

    def classify(self, seen: Tensor, saliency: Tensor) -> Trace:
        """Diagnosis of masked images (N, 3, H, W), as the classifier sees them."""
        if self.classifier.fusion is Fusion.NONE:
            return self._flipped(seen, None)
        # A fixed seed: a control is the same whenever it is asked for.
        return self._flipped(seen, replace_saliency(saliency, self.control, torch.Generator().manual_seed(0)))

    def trace(self, images: Tensor) -> tuple[Tensor, Trace, Trace]:
        """Images (N, 3, H, W) in [0, 1] to lesion probability, symmetry and diagnosis."""
        lesion = self.outline(images)
        symmetry = self.judge_symmetry(images, lesion)
        return lesion, symmetry, self.diagnose(images, lesion, explain(symmetry))

    def unlike(self, diagnosis: Trace) -> Tensor:
        """How far the classifier's features lie from those of training images (N,), in standard deviations."""
        features = diagnosis.activations.mean((2, 3))
        return torch.zeros_like(features[:, 0]) if self.distance is None else self.distance(features)

    def _flipped(self, seen: Tensor, saliency: Tensor | None) -> Trace:
        upright = self.classifier.trace(seen, saliency)
        if not self.flips:
            return upright
        others = [self.classifier(seen.flip(axes), None if saliency is None else saliency.flip(axes)) for axes in FLIPS]
        probabilities = _mean([logits.softmax(dim=1) for logits in (upright.logits, *others)])
        return upright._replace(logits=probabilities.log())

    def forward(self, images: Tensor) -> CascadeOutput:
        """Images (N, 3, H, W) in [0, 1] to masks, symmetry, diagnosis, and where both come from."""
        output: CascadeOutput = Ensemble([self])(images)
        return output


class Ensemble(nn.Module):
    """Several cascades whose probabilities and saliency are averaged."""

    def __init__(self, members: Sequence[Cascade]) -> None:
        super().__init__()
        self.members: Iterable[Cascade] = nn.ModuleList(members)  # type: ignore[assignment]

    def forward(self, images: Tensor) -> CascadeOutput:
        """Average the members; saliency is that of the classes they predict together.

        What a member's classifier reads is the saliency of that member's own prediction, as in training.
        """
        lesions, symmetries, diagnoses = zip(*(member.trace(images) for member in self.members), strict=True)
        symmetry, diagnosis = explain_together(symmetries), explain_together(diagnoses)
        return CascadeOutput(
            lesion=_mean(lesions),
            symmetry=symmetry.probabilities,
            symmetry_saliency=symmetry.saliency,
            diagnosis=diagnosis.probabilities,
            diagnosis_saliency=diagnosis.saliency,
            distance=_mean([member.unlike(trace) for member, trace in zip(self.members, diagnoses, strict=True)]),
        )


class Explained(NamedTuple):
    """What was said of N images, and where it comes from.

    Attributes:
        probabilities: (N, classes).
        target: the explained class of each image (N,).
        saliency: (N, 1, h, w) in [0, 1].
    """

    probabilities: Tensor
    target: Tensor
    saliency: Tensor


def explain_together(traces: Sequence[Trace], target: int | None = None) -> Explained:
    """Average what several members say of the same images, and their saliency of one class.

    Args:
        traces: of each member.
        target: a class number; None for the class that they predict together, image by image.
    """
    probabilities = _mean([trace.logits.softmax(dim=1) for trace in traces])
    chosen = probabilities.argmax(dim=1)
    chosen = chosen if target is None else torch.full_like(chosen, target)
    return Explained(probabilities, chosen, _mean([explain(trace, chosen) for trace in traces]))


def explain(trace: Trace, target: Tensor | None = None) -> Tensor:
    """Grad-CAM++ of a traced forward pass.

    Args:
        trace: of a batch of N images.
        target: class numbers (N,); None explains the predicted class of each image.

    Returns:
        Saliency (N, 1, h, w) in [0, 1] at the target layer's own grid.
    """
    target = trace.logits.argmax(dim=1) if target is None else target
    gate = None
    if trace.class_maps is not None:
        # Not by indexing with a range, which an export would take for a batch of a fixed size.
        chosen = target[:, None, None, None].expand(-1, 1, *trace.class_maps.shape[2:])
        gate = trace.class_maps.gather(1, chosen) > 0
    return grad_cam_pp(trace.activations, trace.weight[target], gate)


def _mean(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(parts)).mean(dim=0)
