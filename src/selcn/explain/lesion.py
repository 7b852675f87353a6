"""Saliency of a mask: Grad-CAM++ at the segmenter's deepest features (after Vinogradova et al. 2020, Seg-Grad-CAM)."""

import torch
from torch import Tensor

from selcn.models.segmenter import Segmenter
from selcn.saliency.gradcam_pp import grad_cam_pp_of_gradient

LESION_LABELS = ("lesion", "background")


def explain_lesion(segmenter: Segmenter, images: Tensor, *, background: bool = False) -> tuple[Tensor, Tensor]:
    """Grad-CAM++ of the mean logit over the pixels predicted as lesion; over all pixels where there is none.

    Args:
        segmenter: in evaluation mode.
        images: (N, 3, H, W) in [0, 1].
        background: explain the negated logit over the pixels predicted as background instead.

    Returns:
        The mean lesion probability of those pixels (N,), and saliency (N, 1, h, w) in [0, 1] at the grid of the
        encoder's deepest features.
    """
    with torch.inference_mode(mode=False):
        with torch.no_grad():
            *finer, deepest = segmenter.encode(images.clone())
        with torch.enable_grad():
            deepest.requires_grad_()
            # A copy is passed on, as the next module may write in place.
            logits = segmenter.decode([*finer, deepest.clone()], (images.shape[-1], images.shape[-2]))
            called = ((logits < 0) if background else (logits > 0)).detach()
            called |= ~called.any(dim=(1, 2, 3), keepdim=True)
            score = _mean_where(-logits if background else logits, called).sum()
            (gradient,) = torch.autograd.grad(score, deepest)
    return _mean_where(logits.detach().sigmoid(), called), grad_cam_pp_of_gradient(deepest.detach(), gradient)


def _mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum((1, 2, 3)) / chosen.sum((1, 2, 3))
