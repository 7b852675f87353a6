"""Milliseconds a picture, one at a time, with both saliency maps: PyTorch with hooks and backward passes, and ONNX.

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
from selcn.inference.bundle import BundleConfig, symmetry_labels
from selcn.inference.onnx.engine import OnnxEngine
from selcn.inference.onnx.export import export_graphs
from selcn.inference.torch_engine import TorchEngine
from selcn.labels import Fusion
from selcn.models.build import build_classifier, build_segmenter, build_symmetry
from selcn.models.cascade import Cascade, Ensemble
from selcn.models.classifier import LesionClassifier
from selcn.models.masking import apply_masking

REPEATS = 15
PRESETS = ("thesis", "light")


class _Known(nn.Module):
    """A classifier whose symmetry saliency is known, as the package calls a network with images alone."""

    def __init__(self, classifier: LesionClassifier) -> None:
        super().__init__()
        self.classifier, self.saliency = classifier, torch.empty(0)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(images, self.saliency)
        return logits


class Hooked:
    """One member of the cascade as research scripts run it: hooks, and a backward pass a map."""

    def __init__(self, cascade: Cascade) -> None:
        self.cascade, self.known = cascade, _Known(cascade.classifier)
        symmetry = cascade.symmetry
        last = [module for name, module in symmetry.named_modules() if name.endswith("expand3x3_activation")]
        target = last[-1] if last else symmetry.backbone
        fused = cascade.classifier.fuse or cascade.classifier.backbone
        self.of_symmetry = GradCAMPlusPlus(symmetry, [target])
        self.of_diagnosis = GradCAMPlusPlus(self.known, [fused])

    def __call__(self, pictures: np.ndarray) -> None:
        """Everything the cascade says of pictures, uint8 (N, H, W, 3)."""
        images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        cascade = self.cascade
        with torch.no_grad():
            lesion = cascade.outline(images) > 0.5
        seen = apply_masking(images, lesion, cascade.cam_mask)
        self.known.saliency = torch.from_numpy(self.of_symmetry(seen, targets=None))[:, None]
        self.of_diagnosis(apply_masking(images, lesion, cascade.mask), targets=None)


def build(preset: str) -> tuple[BundleConfig, Ensemble]:
    """One member with random weights."""
    config = load_config(Path(preset))
    variant = next(one for one in config.classification.variants if one.fusion is not Fusion.NONE)
    cam_mask = variant.cam_mask or config.cam_masks[0]
    section = config.symmetry.of(cam_mask)
    cascade = Cascade(
        build_segmenter(config.segmentation, pretrained=False),
        build_symmetry(section, pretrained=False),
        build_classifier(config.classification.of(variant), variant, pretrained=False),
        cam_mask,
        variant.mask,
    )
    about = BundleConfig(
        prepare=config.prepare,
        segmentation=config.segmentation,
        symmetry=section,
        classification=config.classification.of(variant),
        variant=variant,
        cam_mask=cam_mask,
        members=1,
        split="",
        symmetry_labels=tuple(symmetry_labels(section.classes)),
    )
    return about, Ensemble([cascade]).eval()


def milliseconds(work: Callable[[np.ndarray], object], picture: np.ndarray) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work(picture)
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
            picture = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
            works[f"{preset}, hooks and backward"] = Hooked(next(iter(ensemble.members))), picture
            twin = build(preset)[1]
            works[f"{preset}, selcn in PyTorch"] = TorchEngine(twin), picture
            works[f"{preset}, selcn in ONNX Runtime"] = OnnxEngine(graphs), picture
        for work, picture in works.values():
            work(picture)
        times: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(REPEATS):
            for name, (work, picture) in works.items():
                times[name].append(milliseconds(work, picture))
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = {
        f"ratio, {preset} in ONNX Runtime to {other} with hooks": medians[f"{other}, hooks and backward"]
        / medians[f"{preset}, selcn in ONNX Runtime"]
        for preset, other in (("thesis", "thesis"), ("light", "thesis"), ("light", "light"))
    }
    return {f"{name}, ms": value for name, value in medians.items()} | ratios


if __name__ == "__main__":
    for what, value in measure().items():
        print(f"{what}: {value:.3g}")
