"""What a deployable cascade's folder holds, as a model hub expects it, and whether it is whole; no pickle, no torch.

```
BUNDLE/
  config.json          what to build, how to prepare a picture, class names in order, safeguards, sources of the data
  model.safetensors    the weights of every member
  metrics.json         figures with intervals
  README.md            the model card
  manifest.json        checksum of every other file, written last
  onnx/  onnx-int8/    graphs that need no torch, where `selcn export` was run
```
"""

import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from selcn.config import ClassificationSection, PrepareSection, SegmentationSection, SymmetrySection, Variant
from selcn.errors import RunError
from selcn.inference.reliability import Safeguards
from selcn.io.files import sha256
from selcn.labels import BinarySymmetry, Diagnosis, Masking, Symmetry

NETWORKS = ("segmenter", "symmetry", "classifier")
CONFIG, WEIGHTS, METRICS, CARD, MANIFEST = (
    *("config.json", "model.safetensors", "metrics.json", "README.md", "manifest.json"),
)

EXPORT = "export.json"


class Precision(StrEnum):
    """Of an export; its folder in the bundle."""

    FLOAT32 = "onnx"
    INT8 = "onnx-int8"


class DataSource(BaseModel):
    """Where training pictures came from.

    Attributes:
        name: as in the catalog's column `source`.
        images: how many.
        licence: under which they were published.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    images: int
    licence: str


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
        components: directions of features that each member's distance looks along; 0 for none.
        safeguards: when not to trust an answer; None where that was not measured.
        sources: of the data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prepare: PrepareSection
    segmentation: SegmentationSection
    symmetry: SymmetrySection
    classification: ClassificationSection
    variant: Variant
    cam_mask: Masking
    members: int = Field(ge=1)
    split: str
    symmetry_labels: tuple[str, ...]
    diagnosis_labels: tuple[str, ...] = tuple(Diagnosis.names())
    components: tuple[int, ...] = ()
    safeguards: Safeguards | None = None
    sources: tuple[DataSource, ...] = ()


def symmetry_labels(classes: int) -> list[str]:
    """Names of two or three symmetry classes, in the order the network numbers them."""
    return Symmetry.names() if classes == len(Symmetry) else BinarySymmetry.names()


def read_config(path: Path) -> BundleConfig:
    """Verify every checksum, and read what the bundle is.

    Raises:
        RunError: no bundle, or a file is missing or changed.
    """
    checksums = _checksums(path)
    return _parsed(path, checksums, checksums)


def read_export(path: Path, precision: Precision = Precision.FLOAT32) -> tuple[BundleConfig, list[Path]]:
    """Read what an exported bundle is, and the files of its graphs in the order they run, all of them verified.

    Raises:
        RunError: no bundle, it has not been exported, or a file is missing or changed.
    """
    folder = path / precision
    if (path / MANIFEST).is_file() and not (folder / EXPORT).is_file():
        raise RunError(f"{path}: has no graphs in {precision}; make them with `selcn export`")
    config = _parsed(path, _checksums(path), [CONFIG])
    try:
        about = json.loads((folder / EXPORT).read_text(encoding="utf-8"))
        bundle, graphs, checksums = about["bundle"], [str(name) for name in about["graphs"]], dict(about["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(f"{folder / EXPORT}: cannot be read; remove {folder} and export again") from None
    if bundle != sha256(path / MANIFEST):
        raise RunError(f"{folder}: was exported from another bundle; remove it and export again")
    for name in graphs:
        _verify_file(folder, name, checksums.get(name))
    return config, [folder / name for name in graphs]


def _parsed(path: Path, checksums: dict[str, str], names: Iterable[str]) -> BundleConfig:
    """The configuration, once some files are known to be whole."""
    for name in names:
        _verify_file(path, str(name), checksums[name])
    try:
        return BundleConfig.model_validate_json((path / CONFIG).read_text(encoding="utf-8"))
    except (ValidationError, OSError) as error:
        raise RunError(f"{path / CONFIG}: {' '.join(str(error).split())[:200]}; make the bundle anew") from None


def _checksums(path: Path) -> dict[str, str]:
    try:
        checksums = dict(json.loads((path / MANIFEST).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        hint = f"did you mean {path / 'bundle'}?" if (path / "bundle").is_dir() else "give RUN/bundle of a finished run"
        raise RunError(f"{path}: not a bundle (no readable manifest.json); {hint}") from None
    for name in (CONFIG, WEIGHTS):
        if name not in checksums:
            raise RunError(f"{path / MANIFEST}: does not name {name}; copy the whole bundle again")
    return checksums


def _verify_file(path: Path, name: str, checksum: object) -> None:
    file = path / name
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or "\\" in name:
        raise RunError(f"{path / MANIFEST}: names {name!r}, which lies outside the bundle; do not use this bundle")
    if file.is_symlink():
        raise RunError(f"{file}: is a link; a bundle holds files alone: copy the whole bundle again")
    if not file.is_file():
        raise RunError(f"{file}: is missing; copy the whole bundle again")
    if sha256(file) != checksum:
        raise RunError(f"{file}: was changed after the bundle was made; copy the bundle again")
