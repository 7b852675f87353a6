"""A bundle's cascade as ONNX, saliency included: one graph, or two where the largest lesion region is found between.

```
BUNDLE/onnx/
  outline.onnx   prepared pictures -> each member's lesion probability; only with `lae` masking
  cascade.onnx   prepared pictures (and what `lae` leaves visible) -> everything else
  export.json    of which bundle, checksums, how it differs from PyTorch
BUNDLE/onnx-int8/   the same with 8-bit segmenters
```
"""

import json
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from selcn.data.imaging.masks import LESION_THRESHOLD
from selcn.data.imaging.read import read_image
from selcn.errors import ConfigError, RunError
from selcn.inference.assembly import read_bundle
from selcn.inference.bundle import EXPORT, MANIFEST, BundleConfig, Precision, read_export
from selcn.inference.onnx.engine import OnnxEngine
from selcn.inference.onnx.quantization import quantise
from selcn.inference.result import prepare
from selcn.inference.torch_engine import TorchEngine
from selcn.io.files import sha256, written_whole
from selcn.labels import Masking
from selcn.models.cascade import Cascade, Ensemble, explain, explain_together
from selcn.models.masking import region

OPSET = 20
MOST = 1e-4
"""Largest difference from PyTorch that an export may have."""
SAME, FEWEST = 0.99, 40
"""Least share of diagnoses that 8 bits must leave as they were, and fewest pictures to tell that by."""
OUTLINE, CASCADE = "outline.onnx", "cascade.onnx"
OUTPUTS = ["lesion", "symmetry", "symmetry_saliency", "diagnosis", "diagnosis_saliency", "distance"]
_PICTURES = 2  # of the batch that is traced; a batch of one would be taken for a constant


class _Outline(nn.Module):
    """Prepared pictures, uint8 (N, H, W, 3), to each member's lesion probability (N, K, H, W)."""

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__()
        self.segmenters = nn.ModuleList([member.segmenter for member in ensemble.members])

    def forward(self, pictures: Tensor) -> Tensor:
        images = _floats(pictures)
        return torch.cat([segmenter(images).sigmoid() for segmenter in self.segmenters], dim=1)


class _Judge(nn.Module):
    """What is said once each member's lesion probability and what its masking leaves visible are known."""

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__()
        self.members: Sequence[Cascade] = nn.ModuleList(ensemble.members)  # type: ignore[assignment]

    def forward(self, pictures: Tensor, lesions: Tensor, visible: Tensor | None) -> tuple[Tensor, ...]:
        images = _floats(pictures)
        symmetries, diagnoses = [], []
        for number, member in enumerate(self.members):
            lesion = lesions[:, number : number + 1]
            box = None if visible is None else visible[:, number : number + 1]
            symmetry = member.symmetry.trace(_masked(images, lesion, box, member.cam_mask))
            seen = _masked(images, lesion, box, member.mask)
            symmetries.append(symmetry)
            diagnoses.append(member.classify(seen, explain(symmetry)))
        distances = [member.unlike(trace) for member, trace in zip(self.members, diagnoses, strict=True)]
        said, named = explain_together(symmetries), explain_together(diagnoses)
        return (
            lesions.mean(dim=1),
            said.probabilities,
            said.saliency[:, 0],
            named.probabilities,
            named.saliency[:, 0],
            torch.stack(distances).mean(dim=0),
        )


class _Whole(nn.Module):
    """Both at once, for maskings that need no region to be found."""

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__()
        self.outline, self.judge = _Outline(ensemble), _Judge(ensemble)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        judged: tuple[Tensor, ...] = self.judge(pictures, self.outline(pictures), None)
        return judged


def export_bundle(bundle: Path, on_progress: Callable[[str], None] | None = None) -> dict[str, float]:
    """Write a bundle's graphs to its folder `onnx`, and compare them with PyTorch.

    Args:
        bundle: its folder.
        on_progress: told what is being done.

    Returns:
        The largest difference of each output on pictures of noise and of discs.

    Raises:
        RunError: no bundle, or its graphs differ from PyTorch by more than 1e-4.
        ConfigError: it has been exported, its classifier is a control, or an extra is not installed.
    """
    config, ensemble = read_bundle(bundle)
    say = on_progress or (lambda _: None)
    with _new_export(bundle, Precision.FLOAT32) as partial:
        say("tracing")
        names = export_graphs(config, ensemble, partial)
        say("comparing with PyTorch")
        difference = _difference(config, ensemble, [partial / name for name in names])
        if max(difference.values()) > MOST:
            raise RunError(f"{bundle}: its graphs differ from PyTorch ({difference}); please report this")
        _seal(bundle, partial, names, {"difference": difference})
    return difference


def export_int8(bundle: Path, pictures: Sequence[Path], on_progress: Callable[[str], None] | None = None) -> float:
    """Write an exported bundle's graphs with 8-bit segmenters to its folder `onnx-int8`.

    The segmenters alone: with 8 bits the classifiers answer otherwise for 1 to 12 pictures of 100 and are no faster.

    Args:
        bundle: its folder, exported.
        pictures: usual ones; every other is calibrated with, the rest is compared on.
        on_progress: told what is being done.

    Returns:
        Share of the compared pictures with the same diagnosis.

    Raises:
        RunError: no bundle, not exported, or fewer than 99 % of the diagnoses stay the same.
        ConfigError: too few pictures, or it has been exported so.
        DataError: a picture cannot be read.
    """
    config, graphs = read_export(bundle)
    if len(pictures) < FEWEST:
        raise ConfigError(f"--int8: {len(pictures)} pictures; give at least {FEWEST} usual ones to calibrate with")
    say = on_progress or (lambda _: None)
    prepared = np.stack([prepare(read_image(path), config) for path in pictures])
    with _new_export(bundle, Precision.INT8) as partial:
        say("calibrating")
        shutil.copyfile(graphs[-1], partial / graphs[-1].name)
        quantise(graphs[0], partial / graphs[0].name, prepared[::2])
        say("comparing with 32 bits")
        names = [graph.name for graph in graphs]
        pairs = [
            (OnnxEngine(graphs)(batch), OnnxEngine([partial / name for name in names])(batch))
            for batch in np.array_split(prepared[1::2], -(-len(prepared) // 32))
        ]
        same = float(np.mean(np.concatenate([a.diagnosis.argmax(1) == b.diagnosis.argmax(1) for a, b in pairs])))
        if same < SAME:
            raise RunError(f"{bundle}: with 8 bits only {100 * same:.1f} % of the diagnoses stay; keep 32")
        _seal(bundle, partial, names, {"same diagnosis": same, "compared on": len(prepared[1::2])})
    return same


@contextmanager
def _new_export(bundle: Path, precision: Precision) -> Iterator[Path]:
    out = bundle / precision
    if out.exists():
        raise ConfigError(f"{out}: exists already; remove it to export again")
    with written_whole(out) as partial:
        partial.mkdir()
        yield partial


def _seal(bundle: Path, folder: Path, graphs: Sequence[str], about: Mapping[str, Any]) -> None:
    checksums = {name: sha256(folder / name) for name in graphs}
    text = {"bundle": sha256(bundle / MANIFEST), "graphs": list(graphs), "sha256": checksums, **about}
    (folder / EXPORT).write_text(json.dumps(text, indent=1), encoding="utf-8")


def export_graphs(config: BundleConfig, ensemble: Ensemble, folder: Path) -> list[str]:
    """Write the graphs of a bundle into a folder, and return their names in the order they run.

    Args:
        config: of the bundle.
        ensemble: its networks, on the CPU.
        folder: to write to.

    Raises:
        ConfigError: the bundle's classifier is a control, which reads what is no saliency.
    """
    if config.variant.control:
        raise ConfigError(f"variant {config.variant.name}: a control is for comparison, not for export")
    width, height = config.prepare.size
    pictures = torch.randint(0, 255, (_PICTURES, height, width, 3), dtype=torch.uint8)
    ensemble.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if Masking.LAE not in (config.cam_mask, config.variant.mask):
        _export(_Whole(ensemble), (pictures,), folder / CASCADE, ["pictures"], OUTPUTS)
        return [CASCADE]
    lesions = torch.rand(_PICTURES, config.members, height, width)
    visible = (lesions > LESION_THRESHOLD).to(torch.float32)
    _export(_Outline(ensemble), (pictures,), folder / OUTLINE, ["pictures"], ["lesions"])
    inputs = ["pictures", "lesions", "visible"]
    _export(_Judge(ensemble), (pictures, lesions, visible), folder / CASCADE, inputs, OUTPUTS)
    return [OUTLINE, CASCADE]


def _export(network: nn.Module, example: tuple[Tensor, ...], path: Path, inputs: list[str], outputs: list[str]) -> None:
    dynamic = tuple({0: torch.export.Dim.DYNAMIC} for _ in example)
    with torch.inference_mode(mode=False), torch.no_grad(), _quiet():
        program = torch.onnx.export(
            network.eval(),
            example,
            dynamo=True,
            dynamic_shapes=dynamic,
            input_names=inputs,
            output_names=outputs,
            opset_version=OPSET,
            optimize=True,
            verbose=False,
        )
        if program is None:  # it is None only where the exporter itself writes a file
            raise RunError(f"{path}: PyTorch's exporter gave nothing back; please report this")
        program.save(path, external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on steps that went well."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


def _difference(config: BundleConfig, ensemble: Ensemble, graphs: Sequence[Path]) -> dict[str, float]:
    """Largest absolute difference of each output."""
    pictures = _test_pictures(config.prepare.size)
    ours, theirs = OnnxEngine(graphs)(pictures), TorchEngine(ensemble)(pictures)
    return {name: float(np.abs(one - other).max()) for name, one, other in zip(OUTPUTS, ours, theirs, strict=True)}


def _test_pictures(size: tuple[int, int]) -> np.ndarray:
    """Noise, and dark discs on skin, uint8 RGB (8, H, W, 3)."""
    width, height = size
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    pictures = generator.integers(0, 255, (8, height, width, 3), dtype=np.uint8)
    for number in range(1, 7):
        reach = (number + 1) * min(size) / 18
        inside = (rows - height / 2) ** 2 + (columns - width / (1.5 + number / 6)) ** 2 < reach**2
        pictures[number] = np.where(inside[..., None], (110, 70, 50), (225, 180, 165)) + pictures[number] // 16
    return pictures


def _floats(pictures: Tensor) -> Tensor:
    return pictures.permute(0, 3, 1, 2).to(torch.float32) / 255


def _masked(images: Tensor, lesion: Tensor, box: Tensor | None, masking: Masking) -> Tensor:
    if masking is Masking.NONE:
        return images
    if box is not None and masking is Masking.LAE:
        return images * box
    return images * region((lesion > LESION_THRESHOLD).to(images), masking)
