"""A deployable cascade in one folder: safetensors, JSON, checksums. Nothing is unpickled.

```
BUNDLE/
  config.json          what to build, how to prepare an image, class names in order
  member-0/            one cascade: segmenter, symmetry and classifier .safetensors
  manifest.json        checksum of every file, written last
```
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from selcn.cascade import Cascade, Ensemble
from selcn.config import ClassificationSection, PrepareSection, SegmentationSection, SymmetrySection, Variant
from selcn.errors import RunError
from selcn.files import sha256
from selcn.labels import BinarySymmetry, Diagnosis, Masking, Symmetry
from selcn.models.build import build_classifier, build_segmenter, build_symmetry

NETWORKS = ("segmenter", "symmetry", "classifier")


class BundleConfig(BaseModel):
    """What `config.json` of a bundle holds.

    Attributes:
        prepare: size and hair removal of a prepared image.
        segmentation, symmetry, classification: how each network is built.
        variant: which lesion classifier.
        cam_mask: masking of what the symmetry network sees.
        members: number of cascades that are averaged.
        split: fingerprint of the split that kept the members' folds apart.
        symmetry_labels, diagnosis_labels: class names in the networks' order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prepare: PrepareSection
    segmentation: SegmentationSection
    symmetry: SymmetrySection
    classification: ClassificationSection
    variant: Variant
    cam_mask: Masking
    members: int
    split: str
    symmetry_labels: tuple[str, ...]
    diagnosis_labels: tuple[str, ...] = tuple(Diagnosis.names())


def symmetry_labels(classes: int) -> list[str]:
    """Names of two or three symmetry classes, in the order the network numbers them."""
    return Symmetry.names() if classes == len(Symmetry) else BinarySymmetry.names()


def write_bundle(folder: Path, config: BundleConfig, members: Sequence[Mapping[str, Path]]) -> None:
    """Fill an empty folder: the configuration, each member's weight files (by `NETWORKS`), and last the manifest."""
    (folder / "config.json").write_text(config.model_dump_json(indent=1), encoding="utf-8")
    for number, weights in enumerate(members):
        (folder / f"member-{number}").mkdir()
        for name in NETWORKS:
            shutil.copyfile(weights[name], folder / f"member-{number}" / f"{name}.safetensors")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    checksums = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
    (folder / "manifest.json").write_text(json.dumps({"sha256": checksums}, indent=1), encoding="utf-8")


def read_bundle(path: Path) -> tuple[BundleConfig, Ensemble]:
    """Verify every checksum, rebuild the networks and load their weights, in eval mode on the CPU.

    Raises:
        RunError: no bundle, or a file is missing, changed or does not fit; the line names it.
    """
    _verify(path)
    try:
        config = BundleConfig.model_validate_json((path / "config.json").read_text(encoding="utf-8"))
    except ValidationError as error:
        raise RunError(f"{path / 'config.json'}: {' '.join(str(error).split())[:200]}; make the bundle anew") from None
    folders = [path / f"member-{number}" for number in range(config.members)]
    return config, assemble(config, [{name: folder / f"{name}.safetensors" for name in NETWORKS} for folder in folders])


def assemble(config: BundleConfig, members: Sequence[Mapping[str, Path]]) -> Ensemble:
    """Rebuild the networks and load each member's weight files (by `NETWORKS`), in eval mode on the CPU.

    Raises:
        RunError: a file is missing, unreadable or of another network.
    """
    return Ensemble([_build_member(config, weights) for weights in members]).eval()


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a network's safetensors file, every key of it.

    Raises:
        RunError: missing, unreadable, or of another network.
    """
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: cannot be read ({error}); make it anew") from None
    except RuntimeError as error:
        raise RunError(f"{path}: holds another network's weights ({' '.join(str(error).split())[:120]})") from None


def _build_member(config: BundleConfig, weights: Mapping[str, Path]) -> Cascade:
    segmenter = build_segmenter(config.segmentation, pretrained=False)
    symmetry = build_symmetry(config.symmetry, pretrained=False)
    classifier = build_classifier(config.classification, config.variant, pretrained=False)
    for name, network in zip(NETWORKS, (segmenter, symmetry, classifier), strict=True):
        load_weights(network, weights[name])
    variant, flips = config.variant, config.classification.flips
    return Cascade(segmenter, symmetry, classifier, config.cam_mask, variant.mask, control=variant.control, flips=flips)


def _verify(path: Path) -> None:
    try:
        checksums = json.loads((path / "manifest.json").read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        hint = f"did you mean {path / 'bundle'}?" if (path / "bundle").is_dir() else "give RUN/bundle of a finished run"
        raise RunError(f"{path}: not a bundle (no readable manifest.json); {hint}") from None
    for name, checksum in checksums.items():
        if not (path / name).is_file():
            raise RunError(f"{path / name}: is missing; copy the whole bundle again")
        if sha256(path / name) != checksum:
            raise RunError(f"{path / name}: was changed after the bundle was made; copy the bundle again")
