"""Images per second of Grad-CAM++ in closed form and by the grad-cam package's backward pass.

SqueezeNet 1.0 at 224x224, 16 images, channels last for both; medians over alternated repeats, so that a machine's mood
meets both alike.
"""

import statistics
import time
from collections.abc import Callable

import torch
from pytorch_grad_cam import GradCAMPlusPlus
from torch import Tensor

from selcn.models.symmetry import SymmetryNetwork
from selcn.saliency.gradcam_pp import grad_cam_pp

BATCH, SIDE, REPEATS = 16, 224, 9


def closed_form(network: SymmetryNetwork, images: Tensor) -> Tensor:
    """Saliency (N, 1, h, w) of the predicted classes."""
    with torch.inference_mode():
        trace = network.trace(images)
        target = trace.logits.argmax(1)
        assert trace.class_maps is not None
        gate = trace.class_maps[torch.arange(len(target)), target, None] > 0
        return grad_cam_pp(trace.activations, trace.weight[target], gate)


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure() -> dict[str, float]:
    """Images per second of both, and their ratio."""
    torch.manual_seed(0)
    network = SymmetryNetwork("squeezenet1_0", 2).eval()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's overloads
    layer = network.get_submodule("backbone.body.features.12.expand3x3_activation")
    images = torch.rand(BATCH, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    with GradCAMPlusPlus(network, [layer]) as package:
        works = (lambda: closed_form(network, images), lambda: package(images, targets=None))
        for work in works:
            work()
        times = [[seconds(work) for work in works] for _ in range(REPEATS)]
    ours, theirs = (BATCH / statistics.median(column) for column in zip(*times, strict=True))
    return {"closed form, images/s": ours, "grad-cam package, images/s": theirs, "ratio": ours / theirs}


if __name__ == "__main__":
    print(measure())
