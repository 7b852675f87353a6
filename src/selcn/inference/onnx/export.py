"""A bundle's cascade as ONNX, saliency included: one graph, or two where the largest lesion region is found between.

```
BUNDLE/onnx/
  outline.onnx   prepared images -> each member's lesion probability; only where masks are worked on between
  cascade.onnx   prepared images (and what that masking leaves visible), given results -> everything else
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

from selcn.config import ClassifierSpec
from selcn.data.imaging.masks import LESION_THRESHOLD
from selcn.data.imaging.read import read_image
from selcn.errors import ConfigError, RunError
from selcn.inference.assembly import read_bundle
from selcn.inference.bundle import EXPORT, MANIFEST, BundleConfig, Engine, checksum, read_export
from selcn.inference.given import MASK, METADATA, saliency_name
from selcn.inference.onnx.comparing import largest_differences
from selcn.inference.onnx.engine import OnnxEngine
from selcn.inference.onnx.names import (
    IMAGES,
    LESIONS,
    given_name,
    in_two_graphs,
    masked_between,
    output_names,
    visible_name,
)
from selcn.inference.onnx.quantization import batches_of, quantize, segmenter_convolutions
from selcn.inference.result import Outputs, prepare
from selcn.io.files import sha256, written_whole
from selcn.labels.metadata import WIDTH
from selcn.models.cascade import Cascade, Known, Pass, lesion_map
from selcn.models.ensemble import Ensemble, combine
from selcn.models.explained import prefer
from selcn.models.segmenter import lesion_probability

OPSET = 20
MAX_DIFFERENCE = 1e-4
"""Largest difference from PyTorch that an export may have."""
MIN_AGREEMENT, MIN_IMAGES = 0.99, 40
"""Share of predictions that must be the same with 8 bits, and the number of images needed to measure it."""
OUTLINE, CASCADE = "outline.onnx", "cascade.onnx"
_TRACED_IMAGES = 2  # of the traced batch; a batch size of 1 would become a constant


class _Segment(nn.Module):
    """Prepared images, uint8 (N, H, W, 3), to each member's lesion probability (N, K, H, W)."""

    def __init__(self, config: BundleConfig, ensemble: Ensemble) -> None:
        super().__init__()
        self.flips = bool(config.segmentation and config.segmentation.flips)
        segmenters = [member.networks[str(config.segmenter)] for member in ensemble.members]
        self.repeats = len(segmenters) if config.segmenter in config.shared else 1
        self.segmenters = nn.ModuleList(segmenters[:1] if self.repeats > 1 else segmenters)

    def forward(self, prepared: Tensor) -> Tensor:
        images = _floats(prepared)
        lesions = [lesion_probability(segmenter, images, flips=self.flips) for segmenter in self.segmenters]
        return torch.cat(lesions * self.repeats, dim=1)


class _Classify(nn.Module):
    """Everything else, of each member's lesion probability and the regions computed between the graphs.

    Given classes (N,) and saliency (N, h, w), one a classifier, are -1 where an image has none; metadata is one tensor,
    or none where no network reads any.
    """

    def __init__(self, config: BundleConfig, ensemble: Ensemble) -> None:
        super().__init__()
        self.between, self.names = masked_between(config), list(config.classifiers)
        self.one_lesion = config.segmenter in config.shared
        self.members: Sequence[Cascade] = nn.ModuleList(ensemble.members)  # type: ignore[assignment]

    def forward(
        self,
        prepared: Tensor,
        lesions: Tensor | None,
        regions: Sequence[Tensor],
        classes: Sequence[Tensor],
        saliency: Sequence[Tensor],
        metadata: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        images = _floats(prepared)
        maps = dict(zip(self.names, (one[:, None] for one in saliency), strict=True))
        known = Known(None, dict(zip(self.names, classes, strict=True)), maps, next(iter(metadata), None))
        passes, mirrored = [], Pass().mirrored
        for number, member in enumerate(self.members):
            own = slice(number, number + 1)
            visible = {name: region[:, own] for name, region in zip(self.between, regions, strict=True)}
            mirrored = mirrored if self.one_lesion else {}
            found = Pass(None if lesions is None else lesions[:, own], regions=visible, mirrored=mirrored)
            for name, spec in member.specs.items():
                if found.lesion is not None and not isinstance(spec, ClassifierSpec):
                    found.saliency[name] = lesion_map(found.lesion)
                elif isinstance(spec, ClassifierSpec):
                    seen = member.look(name, images, found.lesion, found.regions)
                    member.add_classifier(name, seen, found, known)
            passes.append((member, found))
        output = combine(passes, known)
        answers = [(output.probabilities[name], output.saliency[name][:, 0]) for name in output.probabilities]
        lesion = [] if output.lesion is None else [output.lesion[:, 0]]
        return (*lesion, *(one for answer in answers for one in answer), output.distance)


class _Whole(nn.Module):
    """Both as one graph, where no masking is computed between the graphs; it takes given masks (N, H, W) too."""

    def __init__(self, config: BundleConfig, ensemble: Ensemble) -> None:
        super().__init__()
        self.segment = _Segment(config, ensemble) if config.segmenter else None
        self.classify = _Classify(config, ensemble)

    def forward(
        self,
        prepared: Tensor,
        masks: Sequence[Tensor],
        classes: Sequence[Tensor],
        saliency: Sequence[Tensor],
        metadata: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        lesions = None if self.segment is None else prefer(masks[0][:, None], self.segment(prepared))
        answers: tuple[Tensor, ...] = self.classify(prepared, lesions, [], classes, saliency, metadata)
        return answers


def export_bundle(bundle: Path, on_progress: Callable[[str], None] | None = None) -> dict[str, float]:
    """Write a bundle's graphs to its folder `onnx`, and compare them with PyTorch.

    Args:
        bundle: its folder.
        on_progress: called with a description of each stage of the work.

    Returns:
        The largest absolute difference of each output on images of noise and of discs.

    Raises:
        RunError: no bundle, or its graphs differ from PyTorch by more than 1e-4.
        ConfigError: it has been exported, its classifier is a control, or an extra is not installed.
    """
    config, ensemble = read_bundle(bundle)
    report = on_progress or (lambda _: None)
    with _new_export(bundle, Engine.ONNX) as partial:
        report("tracing")
        names = export_graphs(config, ensemble, partial)
        report("comparing with PyTorch")
        difference = largest_differences(config, ensemble, [partial / name for name in names])
        if max(difference.values()) > MAX_DIFFERENCE:
            raise RunError(f"{bundle}: its graphs differ from PyTorch ({difference}); please report this")
        _write_manifest(bundle, partial, names, {"difference": difference})
    return difference


def export_int8(bundle: Path, images: Sequence[Path], on_progress: Callable[[str], None] | None = None) -> float:
    """Write an exported bundle's graphs with 8-bit segmenters to its folder `onnx-int8`.

    Only segmenters are quantised: with 8 bits, classifiers change too many predictions and are slower on a CPU
    (docs/benchmarks.md).

    Args:
        bundle: its folder, exported.
        images: at least 40 representative ones; every other is for calibration, the rest for comparison.
        on_progress: called with a description of each stage of the work.

    Returns:
        Share of the compared images with the same predicted class of the target.

    Raises:
        RunError: no bundle, not exported, or fewer than 99 % of the predicted classes stay the same.
        ConfigError: too few images, no segmentation network, or it has been exported so.
        DataError: an image cannot be read.
    """
    config, graphs = read_export(bundle)
    if config.segmenter is None or config.target not in config.classifiers:
        raise ConfigError("--int8: needs a segmentation network and a classifier as target; leave --int8 out")
    if len(images) < MIN_IMAGES:
        raise ConfigError(f"--int8: {len(images)} images; give at least {MIN_IMAGES} usual ones to calibrate with")
    report = on_progress or (lambda _: None)
    prepared = np.stack([prepare(read_image(path), config) for path in images])
    with _new_export(bundle, Engine.ONNX_INT8) as partial:
        report("calibrating")
        shutil.copyfile(graphs[-1], partial / graphs[-1].name)
        batches, nodes = [*batches_of(graphs[0], prepared[::2])], segmenter_convolutions(graphs[0])
        quantize(graphs[0], partial / graphs[0].name, batches, nodes)
        report("comparing with 32 bits")
        names = [graph.name for graph in graphs]
        pairs = [
            (OnnxEngine(config, graphs)(batch), OnnxEngine(config, [partial / name for name in names])(batch))
            for batch in np.array_split(prepared[1::2], -(-len(prepared) // 32))
        ]
        same = float(np.mean(np.concatenate([_predicted(config, a) == _predicted(config, b) for a, b in pairs])))
        if same < MIN_AGREEMENT:
            raise RunError(
                f"{bundle}: with 8 bits only {100 * same:.1f} % of the classes of {config.target} stay; keep 32"
            )
        _write_manifest(bundle, partial, names, {"same diagnosis": same, "compared on": len(prepared[1::2])})
    return same


def _predicted(config: BundleConfig, outputs: Outputs) -> np.ndarray:
    """Numbers of the target's most probable classes (N,)."""
    predicted: np.ndarray = outputs.probabilities[config.target].argmax(axis=1)
    return predicted


@contextmanager
def _new_export(bundle: Path, engine: Engine) -> Iterator[Path]:
    out = bundle / engine
    if out.exists():
        raise ConfigError(f"{out}: exists already; remove it to export again")
    with written_whole(out) as partial:
        partial.mkdir()
        yield partial


def _write_manifest(bundle: Path, folder: Path, graphs: Sequence[str], about: Mapping[str, Any]) -> None:
    checksums = {name: sha256(folder / name) for name in graphs}
    text = {"bundle": checksum(bundle / MANIFEST), "graphs": list(graphs), "sha256": checksums, **about}
    (folder / EXPORT).write_text(json.dumps(text, indent=1), encoding="utf-8")


def export_graphs(config: BundleConfig, ensemble: Ensemble, folder: Path) -> list[str]:
    """Write the graphs of a bundle into a folder, and return their names in the order they run.

    Args:
        config: of the bundle.
        ensemble: its networks, on the CPU.
        folder: an existing one, to write to.

    Raises:
        ConfigError: a classifier of the bundle is a control, which does not read the saliency.
    """
    controls = [name for name, spec in config.classifiers.items() if spec.control or spec.metadata_control]
    if controls:
        raise ConfigError(f"network {controls[0]}: a control is for comparison, not for export")
    width, height = config.prepare.size
    prepared = torch.randint(0, 255, (_TRACED_IMAGES, height, width, 3), dtype=torch.uint8)
    ensemble.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    between, outputs = masked_between(config), output_names(config)
    given = [given_name(one) for one in (*config.classifiers, *map(saliency_name, config.classifiers))]
    classes, maps = _nothing_given(ensemble, prepared)
    metadata = [torch.zeros(_TRACED_IMAGES, WIDTH)] if config.metadata else []
    given += [given_name(METADATA)] * len(metadata)
    if not in_two_graphs(config):
        masks = [torch.full((_TRACED_IMAGES, height, width), -1.0)] if config.segmenter else []
        inputs = [IMAGES, *(given_name(MASK) for _ in masks), *given]
        _export(_Whole(config, ensemble), (prepared, masks, classes, maps, metadata), folder / CASCADE, inputs, outputs)
        return [CASCADE]
    lesions = torch.rand(_TRACED_IMAGES, config.members, height, width)
    regions = [(lesions > LESION_THRESHOLD).to(torch.float32) for _ in between]
    _export(_Segment(config, ensemble), (prepared,), folder / OUTLINE, [IMAGES], [LESIONS])
    inputs = [IMAGES, LESIONS, *map(visible_name, between), *given]
    example = (prepared, lesions, regions, classes, maps, metadata)
    _export(_Classify(config, ensemble), example, folder / CASCADE, inputs, outputs)
    return [OUTLINE, CASCADE]


@torch.inference_mode()
def _nothing_given(ensemble: Ensemble, prepared: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Classes (N,) and saliency (N, h, w) of each classifier for images of which nothing is given: all -1."""
    found = ensemble(_floats(prepared)).saliency.values()
    classes = [torch.full((len(prepared),), -1) for _ in found]
    return classes, [torch.full((len(prepared), *one.shape[2:]), -1.0) for one in found]


def _export(network: nn.Module, example: tuple[Any, ...], path: Path, inputs: list[str], outputs: list[str]) -> None:
    any_number = {0: torch.export.Dim.DYNAMIC}
    dynamic = tuple(any_number if isinstance(one, Tensor) else [any_number for _ in one] for one in example)
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
    """Silence the exporter's remarks on successful steps."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


def _floats(prepared: Tensor) -> Tensor:
    return prepared.permute(0, 3, 1, 2).to(torch.float32) / 255
