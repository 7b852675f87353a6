"""Milliseconds an image, one at a time, with both saliency maps: PyTorch with hooks and backward passes, and ONNX.

One member of the cascade at the sizes of the presets `thesis` and `light`, random weights. PyTorch is as its user loads
it, with the grad-cam package's Grad-CAM++ on both classifying networks; medians over alternated repeats.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pytorch_grad_cam import GradCAMPlusPlus
from torch import Tensor, nn

from selcn.config import load_config
from selcn.inference.bundle import BundleConfig, Preparation
from selcn.inference.onnx.engine import OnnxEngine
from selcn.inference.onnx.export import export_graphs
from selcn.inference.torch_engine import TorchEngine
from selcn.models.build import build_network
from selcn.models.cascade import Cascade
from selcn.models.classifier import Classifier
from selcn.models.ensemble import Ensemble

REPEATS = 15
PRESETS = ("thesis", "light")
LESION, SYMMETRY, DIAGNOSIS = "lesion", "symmetry", "diagnosis"


class _Reading(nn.Module):
    """A classifier whose symmetry saliency is given beforehand, since the package calls a network with images alone."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier, self.saliency = classifier, torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(images, [self.saliency])
        return logits


class Hooked:
    """One member of the cascade as research scripts run it: hooks, and a backward pass a map."""

    def __init__(self, cascade: Cascade) -> None:
        symmetry, diagnosis = cascade.networks[SYMMETRY], cascade.networks[DIAGNOSIS]
        assert isinstance(symmetry, Classifier)
        assert isinstance(diagnosis, Classifier)
        self.cascade, self.reading = cascade, _Reading(diagnosis)
        last = [module for name, module in symmetry.named_modules() if name.endswith("expand3x3_activation")]
        self.of_symmetry = GradCAMPlusPlus(symmetry, [last[-1] if last else symmetry.backbone])
        self.of_diagnosis = GradCAMPlusPlus(self.reading, [diagnosis.fuse or diagnosis.backbone])

    def __call__(self, prepared: np.ndarray) -> None:
        """Everything the cascade predicts of images, uint8 (N, H, W, 3)."""
        images = torch.from_numpy(prepared).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            lesion = self.cascade.segment(LESION, images)
        seen = self.cascade.look(SYMMETRY, images, lesion)
        self.reading.saliency = torch.from_numpy(self.of_symmetry(seen, targets=None))[:, None]
        self.of_diagnosis(self.cascade.look(DIAGNOSIS, images, lesion), targets=None)


class Forward:
    """The forward passes of one member alone, no saliency: what no method can leave out."""

    def __init__(self, cascade: Cascade) -> None:
        self.cascade = cascade

    @torch.inference_mode()
    def __call__(self, prepared: np.ndarray) -> None:
        """Everything but the maps of images, uint8 (N, H, W, 3)."""
        images = torch.from_numpy(prepared).permute(0, 3, 1, 2).float() / 255
        lesion = self.cascade.segment(LESION, images)
        self.cascade.networks[SYMMETRY](self.cascade.look(SYMMETRY, images, lesion))
        self.cascade.networks[DIAGNOSIS](self.cascade.look(DIAGNOSIS, images, lesion), [torch.zeros(1, 1, 8, 8)])


def build(preset: str) -> tuple[BundleConfig, Ensemble]:
    """One member with random weights."""
    config = load_config(Path(preset))
    specs = {name: config.graph.nodes[name].section.spec for name in (LESION, SYMMETRY, DIAGNOSIS)}
    about = BundleConfig(
        selcn="",
        name=preset,
        prepare=Preparation(size=config.prepare.size, hair=config.prepare.hair),
        networks=specs,
        target=DIAGNOSIS,
        members=1,
        split="",
    )
    return about, Ensemble([Cascade(specs, {name: build_network(spec) for name, spec in specs.items()})]).eval()


def milliseconds(work: Callable[[np.ndarray], object], image: np.ndarray) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work(image)
    return 1000 * (time.perf_counter() - start)


def measure() -> dict[str, float]:
    """Medians of each, and ratios to the cascades with hooks."""
    torch.manual_seed(0)
    works: dict[str, tuple[Callable[[np.ndarray], object], np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as name:
        for preset in PRESETS:
            config, ensemble = build(preset)
            folder = Path(name) / preset
            folder.mkdir()
            graphs = [folder / graph for graph in export_graphs(config, ensemble, folder)]
            width, height = config.prepare.size
            image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
            works[f"{preset}, hooks and backward"] = Hooked(next(iter(ensemble.members))), image
            twin = build(preset)[1]
            works[f"{preset}, selcn in PyTorch"] = TorchEngine(twin), image
            works[f"{preset}, forward passes alone in PyTorch"] = Forward(next(iter(twin.members))), image
            works[f"{preset}, selcn in ONNX Runtime"] = OnnxEngine(config, graphs), image
        for work, image in works.values():
            work(image)
        times: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(REPEATS):
            for name, (work, image) in works.items():
                times[name].append(milliseconds(work, image))
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = {
        f"ratio, {preset} in ONNX Runtime to {other} with hooks": medians[f"{other}, hooks and backward"]
        / medians[f"{preset}, selcn in ONNX Runtime"]
        for preset, other in (("thesis", "thesis"), ("light", "thesis"), ("light", "light"))
    }
    floors = {
        f"{preset}, selcn to forward passes alone in PyTorch": medians[f"{preset}, selcn in PyTorch"]
        / medians[f"{preset}, forward passes alone in PyTorch"]
        for preset in PRESETS
    }
    return {f"{name}, ms": value for name, value in medians.items()} | floors | ratios


if __name__ == "__main__":
    for what, value in measure().items():
        print(f"{what}: {value:.3g}")
