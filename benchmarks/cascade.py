"""Milliseconds an image, one at a time, with both saliency maps: PyTorch with hooks and backward passes, and ONNX.

One member of the cascade at the sizes of the presets `thesis` and `light`, random weights. PyTorch is as its user loads
it, with the grad-cam package's Grad-CAM++ on both classifying networks. Beside it the same in five steps that hand on
PNG files, as separate programs do, without their starts: segment, mask, explain symmetry, mask, explain diagnosis. The
floor of each engine is its own forward passes, no saliency. Medians over alternated repeats.
"""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from pytorch_grad_cam import GradCAMPlusPlus
from torch import Tensor, nn

from selcn.config import load_config
from selcn.data.imaging.masking import visible_region
from selcn.data.imaging.masks import LESION_THRESHOLD
from selcn.inference.bundle import BundleConfig, Preparation
from selcn.inference.onnx.engine import OnnxEngine
from selcn.inference.onnx.export import _export, _Segment, export_graphs
from selcn.inference.onnx.names import IMAGES, LESIONS, masked_between, visible_name
from selcn.inference.torch_engine import TorchEngine
from selcn.models.build import build_network
from selcn.models.cascade import Cascade
from selcn.models.classifier import Classifier
from selcn.models.ensemble import Ensemble
from timing import medians

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


class Files(Hooked):
    """The same as five programs would do it, one after the other: each reads PNG files and writes one for the next."""

    def __init__(self, cascade: Cascade, folder: Path) -> None:
        super().__init__(cascade)
        self.folder = folder

    def __call__(self, prepared: np.ndarray) -> None:
        """Everything the cascade predicts of one image, uint8 (1, H, W, 3)."""
        self.write("image", prepared[0])
        with torch.no_grad():
            self.write("lesion", self.cascade.segment(LESION, self.images("image"))[0, 0].numpy() > LESION_THRESHOLD)
        self.mask(SYMMETRY)
        self.write("saliency", self.of_symmetry(self.images(SYMMETRY), targets=None)[0])
        self.mask(DIAGNOSIS)
        self.reading.saliency = self.map("saliency")
        self.write("explained", self.of_diagnosis(self.images(DIAGNOSIS), targets=None)[0])

    def mask(self, network: str) -> None:
        """Write the image as a network is shown it."""
        seen = self.cascade.look(network, self.images("image"), self.map("lesion"))
        self.write(network, seen[0].permute(1, 2, 0).numpy())

    def write(self, name: str, image: np.ndarray) -> None:
        """Write an image as PNG: uint8 as it is, others from [0, 1]."""
        levels = image if image.dtype == np.uint8 else np.rint(255 * image.astype(np.float32)).astype(np.uint8)
        cv2.imwrite(str(self.folder / f"{name}.png"), levels)

    def images(self, name: str) -> Tensor:
        """A colour image (1, 3, H, W) in [0, 1]."""
        found = cv2.imread(str(self.folder / f"{name}.png"), cv2.IMREAD_COLOR)
        assert found is not None
        return torch.from_numpy(found).permute(2, 0, 1)[None].float() / 255

    def map(self, name: str) -> Tensor:
        """A mask or a saliency map (1, 1, H, W) in [0, 1]."""
        found = cv2.imread(str(self.folder / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        assert found is not None
        return torch.from_numpy(found)[None, None].float() / 255


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


class _Logits(nn.Module):
    """Both classifying networks without their maps, as a graph; the symmetry saliency that is read is all 0."""

    def __init__(self, cascade: Cascade, between: list[str]) -> None:
        super().__init__()
        self.cascade, self.between = cascade, between

    def forward(self, prepared: Tensor, lesion: Tensor, regions: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits of symmetry and diagnosis."""
        images, found = prepared.permute(0, 3, 1, 2).float() / 255, dict(zip(self.between, regions, strict=True))
        symmetry, diagnosis = (self.cascade.look(name, images, lesion, found) for name in (SYMMETRY, DIAGNOSIS))
        networks, nothing = self.cascade.networks, torch.zeros_like(images[:, :1, :8, :8])
        return networks[SYMMETRY](symmetry), networks[DIAGNOSIS](diagnosis, [nothing])


class ForwardGraphs:
    """The forward passes of one member in ONNX Runtime, as `selcn export` makes graphs, but no saliency."""

    def __init__(self, config: BundleConfig, ensemble: Ensemble, folder: Path) -> None:
        self.between, (width, height) = masked_between(config), config.prepare.size
        paths = [folder / "segment.onnx", folder / "logits.onnx"]
        prepared, lesion = torch.zeros(2, height, width, 3, dtype=torch.uint8), torch.rand(2, 1, height, width)
        _export(_Segment(config, ensemble), (prepared,), paths[0], [IMAGES], [LESIONS])
        network = _Logits(next(iter(ensemble.members)), self.between)
        inputs = [IMAGES, LESIONS, *map(visible_name, self.between)]
        example = (prepared, lesion, [torch.ones_like(lesion) for _ in self.between])
        _export(network, example, paths[1], inputs, [SYMMETRY, DIAGNOSIS])
        self.sessions = OnnxEngine(config, paths).sessions

    def __call__(self, prepared: np.ndarray) -> None:
        """Everything but the maps of images, uint8 (N, H, W, 3)."""
        first, last = self.sessions
        (lesions,) = first.run(None, {IMAGES: prepared})
        given = {IMAGES: prepared, LESIONS: lesions}
        for name in self.between:
            region = visible_region(name, lesions[:, 0] > LESION_THRESHOLD)
            given[visible_name(name)] = region[:, None].astype(np.float32)
        taken = {one.name for one in last.get_inputs()}
        last.run(None, {name: value for name, value in given.items() if name in taken})


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


def works_of(preset: str, folder: Path) -> dict[str, Callable[[], object]]:
    """All ways to one image's predictions, by name."""
    config, ensemble = build(preset)
    folder.mkdir()
    graphs = [folder / graph for graph in export_graphs(config, ensemble, folder)]
    forward, member = ForwardGraphs(config, ensemble, folder), next(iter(ensemble.members))
    width, height = config.prepare.size
    image = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    twin = build(preset)[1]
    ways: dict[str, Callable[[np.ndarray], object]] = {
        "hooks and backward": Hooked(member),
        "five steps with PNG files between": Files(member, folder),
        "selcn in PyTorch": TorchEngine(twin),
        "forward passes alone in PyTorch": Forward(next(iter(twin.members))),
        "selcn in ONNX Runtime": OnnxEngine(config, graphs),
        "forward passes alone in ONNX Runtime": forward,
    }
    return {f"{preset}, {way}": partial(work, image) for way, work in ways.items()}


def measure(presets: Sequence[str] = PRESETS, repeats: int = REPEATS) -> dict[str, float]:
    """Medians of each, and ratios to the cascades with hooks and with files."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        works = {way: work for preset in presets for way, work in works_of(preset, Path(name) / preset).items()}
        taken = medians(works, repeats)
    ratios = {
        f"ratio, {preset} in ONNX Runtime to {other} with {what}": taken[f"{other}, {way}"]
        / taken[f"{preset}, selcn in ONNX Runtime"]
        for preset, other in (("thesis", "thesis"), ("light", "thesis"), ("light", "light"))
        for what, way in (("hooks", "hooks and backward"), ("files between", "five steps with PNG files between"))
        if {preset, other} <= set(presets)
    }
    floors = {
        f"{preset}, selcn to forward passes alone in {engine}": taken[f"{preset}, selcn in {engine}"]
        / taken[f"{preset}, forward passes alone in {engine}"]
        for preset in presets
        for engine in ("PyTorch", "ONNX Runtime")
    }
    return {f"{name}, ms": 1000 * value for name, value in taken.items()} | floors | ratios


if __name__ == "__main__":
    for what, value in measure().items():
        print(f"{what}: {value:.3g}")
