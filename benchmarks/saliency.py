"""Images per second of Grad-CAM++ in closed form and by the grad-cam package's backward pass.

SqueezeNet 1.0 at 224x224, 1 and 16 images; medians over alternated repeats, so that a machine's mood meets all alike.
The package runs a network as its user loads it; beside that, as if he had laid it out channels last, which is what
selcn does with every network. The same closed form as a graph of ONNX Runtime is what `selcn export` writes.
"""

import copy
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from pytorch_grad_cam import GradCAMPlusPlus
from torch import Tensor, nn

from selcn.models.classifier import Classifier
from selcn.models.explained import explain
from timing import medians

BATCHES, SIDE, REPEATS = (1, 16), 224, 9
LAYER = "backbone.body.features.12.expand3x3_activation"


class _ClosedForm(nn.Module):
    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Saliency (N, 1, h, w) of the predicted classes."""
        return explain(self.network.trace(images))


def as_onnx(network: nn.Module, images: Tensor, path: Path) -> Callable[[], object]:
    """One call of a network's graph."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (images,), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path)
    given = {session.get_inputs()[0].name: images.contiguous().numpy()}
    return lambda: session.run(None, given)


def measure_batch(network: Classifier, batch: int, folder: Path) -> dict[str, float]:
    """Images per second of all of them, and ratios."""
    last = copy.deepcopy(network)
    last.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's overloads
    images = torch.rand(batch, 3, SIDE, SIDE)
    images_last = images.contiguous(memory_format=torch.channels_last)
    closed, twin = _ClosedForm(last), copy.deepcopy(last)
    graph = as_onnx(_ClosedForm(copy.deepcopy(network)), images, folder / f"{batch}.onnx")
    forward_graph = as_onnx(copy.deepcopy(network), images, folder / f"forward-{batch}.onnx")
    with (
        GradCAMPlusPlus(network, [network.get_submodule(LAYER)]) as package,
        GradCAMPlusPlus(twin, [twin.get_submodule(LAYER)]) as package_last,
    ):
        works: dict[str, Callable[[], object]] = {
            "closed form": torch.inference_mode()(lambda: closed(images_last)),
            "forward pass alone": torch.inference_mode()(lambda: last(images_last)),
            "closed form, ONNX Runtime": graph,
            "forward pass alone, ONNX Runtime": forward_graph,
            "grad-cam package": lambda: package(images, targets=None),
            "grad-cam package, channels last": lambda: package_last(images_last, targets=None),
        }
        taken = medians(works, REPEATS)
    last_named = taken["grad-cam package, channels last"]
    onnx = taken["closed form, ONNX Runtime"]
    return {
        **{f"batch {batch}, {name}, images/s": batch / seconds for name, seconds in taken.items()},
        f"batch {batch}, closed form to forward pass alone": taken["closed form"] / taken["forward pass alone"],
        f"batch {batch}, ratio": taken["grad-cam package"] / taken["closed form"],
        f"batch {batch}, ratio, both channels last": last_named / taken["closed form"],
        f"batch {batch}, ratio, ONNX Runtime to channels last": last_named / onnx,
        f"batch {batch}, closed form to forward pass alone, ONNX Runtime": onnx
        / taken["forward pass alone, ONNX Runtime"],
    }


def measure() -> dict[str, float]:
    """The same for each batch size."""
    torch.manual_seed(0)
    network = Classifier("squeezenet1_0", 2, head="squeezenet").eval()
    with tempfile.TemporaryDirectory() as folder:
        return {
            name: value
            for batch in BATCHES
            for name, value in measure_batch(copy.deepcopy(network), batch, Path(folder)).items()
        }


if __name__ == "__main__":
    print(measure())
