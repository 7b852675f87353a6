"""The whole method on one page: image -> lesion mask -> symmetry and its saliency -> diagnosis."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from selcn.labels import Fusion, Masking
from selcn.masking import apply_masking
from selcn.models.classifier import LesionClassifier
from selcn.models.heads import Trace
from selcn.models.segmenter import Segmenter
from selcn.models.symmetry import SymmetryNetwork
from selcn.saliency.gradcam_pp import grad_cam_pp

LESION_THRESHOLD = 0.5


class CascadeOutput(NamedTuple):
    """What the cascade says of a batch of N images (N, 3, H, W).

    Attributes:
        lesion: probability that a pixel is lesion (N, 1, H, W).
        symmetry: class probabilities (N, 2 or 3).
        symmetry_saliency: where the predicted symmetry comes from (N, 1, h, w) in [0, 1].
        diagnosis: class probabilities (N, 7).
        diagnosis_saliency: where the predicted diagnosis comes from (N, 1, h', w') in [0, 1].
    """

    lesion: Tensor
    symmetry: Tensor
    symmetry_saliency: Tensor
    diagnosis: Tensor
    diagnosis_saliency: Tensor


class Cascade(nn.Module):
    """One member of the ensemble: three networks, none of which saw the lesions of one fold.

    Args:
        segmenter: image to mask logits.
        symmetry: masked image to symmetry logits.
        classifier: masked image and saliency to diagnosis logits.
        cam_mask: masking of what the symmetry network sees.
        mask: masking of what the classifier sees.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        symmetry: SymmetryNetwork,
        classifier: LesionClassifier,
        cam_mask: Masking,
        mask: Masking,
    ) -> None:
        super().__init__()
        self.segmenter, self.symmetry, self.classifier = segmenter, symmetry, classifier
        self.cam_mask, self.mask = cam_mask, mask

    def trace(self, images: Tensor) -> tuple[Tensor, Trace, Trace]:
        """Images (N, 3, H, W) in [0, 1] to lesion probability, symmetry and diagnosis."""
        lesion = self.segmenter(images).sigmoid()
        mask = lesion > LESION_THRESHOLD
        symmetry = self.symmetry.trace(apply_masking(images, mask, self.cam_mask))
        saliency = explain(symmetry)
        reads = self.classifier.fusion is not Fusion.NONE
        diagnosis = self.classifier.trace(apply_masking(images, mask, self.mask), saliency if reads else None)
        return lesion, symmetry, diagnosis

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
        traces = [member.trace(images) for member in self.members]
        lesions, symmetries, diagnoses = zip(*traces, strict=True)
        symmetry, diagnosis = (
            _mean([trace.logits.softmax(dim=1) for trace in members]) for members in (symmetries, diagnoses)
        )
        return CascadeOutput(
            lesion=_mean(lesions),
            symmetry=symmetry,
            symmetry_saliency=_mean([explain(trace, symmetry.argmax(dim=1)) for trace in symmetries]),
            diagnosis=diagnosis,
            diagnosis_saliency=_mean([explain(trace, diagnosis.argmax(dim=1)) for trace in diagnoses]),
        )


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
        gate = trace.class_maps[torch.arange(len(target), device=target.device), target, None] > 0
    return grad_cam_pp(trace.activations, trace.weight[target], gate)


def _mean(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(parts)).mean(dim=0)
