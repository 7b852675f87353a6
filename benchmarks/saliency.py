"""Images per second of Grad-CAM++ in closed form and by the grad-cam package's backward pass.

SqueezeNet 1.0 at 224x224, 16 images; medians over alternated repeats, so that a machine's mood meets all alike. The
package runs a network as its user loads it; beside that, as if he had laid it out channels last, which is what selcn
does with every network.
"""

import copy
import statistics
import time
from collections.abc import Callable

import torch
from pytorch_grad_cam import GradCAMPlusPlus
from torch import Tensor

from selcn.models.classifier import Classifier
from selcn.models.explained import explain

BATCH, SIDE, REPEATS = 16, 224, 9
LAYER = "backbone.body.features.12.expand3x3_activation"


@torch.inference_mode()
def closed_form(network: Classifier, images: Tensor) -> Tensor:
    """Saliency (N, 1, h, w) of the predicted classes."""
    return explain(network.trace(images))


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure() -> dict[str, float]:
    """Images per second of all three, and ratios."""
    torch.manual_seed(0)
    network = Classifier("squeezenet1_0", 2, head="squeezenet").eval()
    last = copy.deepcopy(network)
    last.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's overloads
    images = torch.rand(BATCH, 3, SIDE, SIDE)
    images_last = images.contiguous(memory_format=torch.channels_last)
    with (
        GradCAMPlusPlus(network, [network.get_submodule(LAYER)]) as package,
        GradCAMPlusPlus(twin := copy.deepcopy(last), [twin.get_submodule(LAYER)]) as package_last,
    ):
        works = (
            lambda: closed_form(last, images_last),
            lambda: package(images, targets=None),
            lambda: package_last(images_last, targets=None),
        )
        for work in works:
            work()
        times = [[seconds(work) for work in works] for _ in range(REPEATS)]
    ours, theirs, theirs_last = (BATCH / statistics.median(column) for column in zip(*times, strict=True))
    return {
        "closed form, images/s": ours,
        "grad-cam package, images/s": theirs,
        "grad-cam package, channels last, images/s": theirs_last,
        "ratio": ours / theirs,
        "ratio, both channels last": ours / theirs_last,
    }


if __name__ == "__main__":
    print(measure())
