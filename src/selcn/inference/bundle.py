"""The files of a bundle, as a model hub expects them, and their verification; no pickle, no torch.

```
BUNDLE/
  config.json          format version, networks in the order they run, preparation, reliability, sources of the data
  model.safetensors    the weights of every member
  metrics.json         metrics with intervals
  training.json        the configuration of the run, for people; nothing reads it back
  lesions.txt          hashes of the lesions and images that its networks were trained on
  README.md            the model card, for people to add to; nothing reads it back or verifies it
  manifest.json        checksum of every other file, of texts with line ends as LF, written last
  plain/               state dicts of timm or torchvision, one a member, where `selcn bundle --plain` was run
  onnx/  onnx-int8/    graphs that need no torch, where `selcn export` was run
```
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from selcn.config import FULL, ClassifierSpec, ModelSpec, Section, SegmenterSpec
from selcn.config.sections import Hair, Size
from selcn.errors import ConfigError, RunError
from selcn.inference.reliability import Reliability, SetThresholds
from selcn.io.files import sha256, written_whole
from selcn.labels import FIELDS, LabelSet

CONFIG, WEIGHTS, METRICS, CARD = "config.json", "model.safetensors", "metrics.json", "README.md"
TRAINING, LESIONS, MANIFEST = "training.json", "lesions.txt", "manifest.json"
EXPORT = "export.json"
_HASH_DIGITS = 12
_TEXTS = frozenset({".json", ".md", ".txt"})


class Engine(StrEnum):
    """The runtime of a bundle's networks; an export's folder in the bundle has the name of its engine."""

    TORCH = "torch"
    ONNX = "onnx"
    ONNX_INT8 = "onnx-int8"


class DataSource(Section):
    """Where training images came from.

    Attributes:
        name: as in the catalog's column `source`.
        images: how many.
        licence: under which they were published.
    """

    name: str
    images: int
    licence: str


class Preparation(Section):
    """How an image is prepared for the networks.

    Attributes:
        size: width and height in pixels.
        hair: whether hair is removed first, and how; see `selcn.config.sections.Hair`.
    """

    size: Size
    hair: Hair


class BundleConfig(Section):
    """The content of `config.json`.

    Attributes:
        format_version: of the layout of a bundle.
        selcn: version that wrote it.
        name: of the bundle, in results.
        prepare: how an image is prepared.
        networks: specification of each network, by name, in the order in which they run.
        target: name of the network that the others lead to.
        members: number of cascades in the ensemble.
        shared: names of the networks that the members have in common; the weights hold those of the first member.
        split: fingerprint of the split that kept the members' folds apart.
        reliability: when not to rely on a prediction; None where that was not measured.
        sources: of the data.
    """

    format_version: Literal[1] = 1
    selcn: str
    name: str
    prepare: Preparation
    networks: dict[str, ModelSpec] = Field(min_length=1)
    target: str
    members: int = Field(ge=1)
    shared: tuple[str, ...] = ()
    split: str
    reliability: Reliability | None = None
    sources: tuple[DataSource, ...] = ()

    @model_validator(mode="after")
    def _is_a_cascade(self) -> Self:
        known: set[str] = set()
        for name, spec in self.networks.items():
            if isinstance(spec, ClassifierSpec) and not known.issuperset(spec.reads):
                raise ValueError(f"network {name} reads one that does not run before it")
            known.add(name)
        if sum(isinstance(spec, SegmenterSpec) for spec in self.networks.values()) > 1:
            raise ValueError("a bundle holds one segmentation network at most")
        if not known.issuperset(self.shared):
            raise ValueError("a shared network is no network of the bundle")
        if self.target not in known:
            raise ValueError(f"target {self.target} is no network of the bundle")
        return self

    @property
    def segmenter(self) -> str | None:
        """Name of the segmentation network, or None."""
        return next((name for name, spec in self.networks.items() if isinstance(spec, SegmenterSpec)), None)

    @property
    def segmentation(self) -> SegmenterSpec | None:
        """The segmentation network, or None."""
        return next((spec for spec in self.networks.values() if isinstance(spec, SegmenterSpec)), None)

    @property
    def classifiers(self) -> dict[str, ClassifierSpec]:
        """The classification networks by name, in the order in which they run."""
        return {name: spec for name, spec in self.networks.items() if isinstance(spec, ClassifierSpec)}

    @property
    def metadata(self) -> tuple[str, ...]:
        """Fields of metadata that any network reads."""
        return tuple(field for field in FIELDS if any(field in spec.metadata for spec in self.classifiers.values()))

    @property
    def sets(self) -> SetThresholds | None:
        """Prediction sets of the target; None where the bundle has none."""
        measured = self.reliability.networks.get(self.target) if self.reliability else None
        return measured.sets if measured else None

    def labels(self, network: str) -> LabelSet:
        """The label set of a classification network.

        Args:
            network: its name.
        """
        labels: LabelSet = self.classifiers[network].labels
        return labels

    def to_json(self) -> str:
        """The text of `config.json`, with label sets in full."""
        return self.model_dump_json(indent=1, context={FULL: True})


def lesion_hash(name: str) -> str:
    """The entry of a lesion or an image in `lesions.txt`: the first 12 hexadecimal digits of its name's SHA-256.

    Args:
        name: as `selcn.data.catalog.groups` returns it, or `image:` and the image id.
    """
    return hashlib.sha256(name.encode()).hexdigest()[:_HASH_DIGITS]


def checksum(file: Path) -> str:
    """SHA-256 of a file of a bundle, in hexadecimal; of a text with line ends as LF, which Git may have changed.

    Args:
        file: its path.
    """
    if file.suffix not in _TEXTS:
        return sha256(file)
    return hashlib.sha256(file.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def read_lesions(path: Path) -> frozenset[str]:
    """Hashes of the lesions and images that a bundle's networks were trained on; see `lesion_hash`.

    Args:
        path: of the bundle.
    """
    return frozenset((path / LESIONS).read_text(encoding="utf-8").split())


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a bundle's `metrics.json`, after verifying its checksum; none where the bundle has no such file.

    Args:
        path: of the bundle.

    Raises:
        RunError: the file is missing, changed, or holds no list.
    """
    checksums = _checksums(path)
    if METRICS not in checksums:
        return []
    _verify_file(path, METRICS, checksums[METRICS])
    try:
        rows = json.loads((path / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        rows = None
    if not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        raise RunError(f"{path / METRICS}: holds no rows of metrics; make the bundle anew")
    return rows


def read_config(path: Path) -> BundleConfig:
    """Verify every checksum but the model card's, and read the bundle's configuration.

    Args:
        path: of the bundle.

    Raises:
        RunError: no bundle, or a file is missing or changed.
    """
    checksums = _checksums(path)
    return _parsed(path, checksums, [name for name in checksums if name != CARD])


def bundle_files(path: Path) -> list[str]:
    """Names of a bundle's files, relative to its folder: those of its manifest, the manifest, and its exports.

    Args:
        path: of the bundle.

    Raises:
        RunError: no bundle.
    """
    exports = [
        file for engine in Engine for file in sorted((path / engine).glob("*")) if (path / engine / EXPORT).is_file()
    ]
    return [*_checksums(path), MANIFEST, *(file.relative_to(path).as_posix() for file in exports)]


def copy_bundle(path: Path, out: Path) -> None:
    """Copy the files of a bundle that its manifest names, and no exports, into a new folder.

    Args:
        path: of the bundle.
        out: the folder, which does not exist yet.

    Raises:
        RunError: no bundle, or a file of it is missing or changed.
        ConfigError: the folder exists.
    """
    if out.exists():
        raise ConfigError(f"{out}: exists already; remove it, or name another folder")
    read_config(path)
    with written_whole(out) as partial:
        for name in (*_checksums(path), MANIFEST):
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path / name, partial / name)


def read_export(path: Path, engine: Engine = Engine.ONNX) -> tuple[BundleConfig, list[Path]]:
    """Verify an exported bundle, and read its configuration and the files of its graphs in the order they run.

    Args:
        path: of the bundle.
        engine: `onnx` or `onnx-int8`.

    Raises:
        RunError: no bundle, it has not been exported, or a file is missing or changed.
    """
    folder = path / engine
    if (path / MANIFEST).is_file() and not (folder / EXPORT).is_file():
        images = " --int8 IMAGES" if engine is Engine.ONNX_INT8 else ""
        raise RunError(
            f"{path}: has no graphs in {engine}; `selcn export '{path}' --out FOLDER{images}` writes a copy that has "
            "them, where selcn[export] is installed"
        )
    config = _parsed(path, _checksums(path), [CONFIG])
    try:
        about = json.loads((folder / EXPORT).read_text(encoding="utf-8"))
        bundle, graphs, checksums = about["bundle"], [str(name) for name in about["graphs"]], dict(about["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(f"{folder / EXPORT}: cannot be read; remove {folder} and export again") from None
    if bundle != checksum(path / MANIFEST):
        raise RunError(f"{folder}: was exported from another bundle; remove it and export again")
    for name in graphs:
        _verify_file(folder, name, checksums.get(name))
    return config, [folder / name for name in graphs]


def _parsed(path: Path, checksums: dict[str, str], names: Iterable[str]) -> BundleConfig:
    """The configuration, after verifying some files."""
    for name in names:
        _verify_file(path, str(name), checksums[name])
    try:
        tree = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        version = tree.get("format_version") if isinstance(tree, dict) else None
        if version not in _READERS:
            known = ", ".join(map(str, _READERS))
            raise RunError(
                f"{path / CONFIG}: is of bundle format {version}, this selcn reads {known}; use the selcn that wrote it"
            )
        return _READERS[version](tree)
    except (ValidationError, OSError, ValueError) as error:
        raise RunError(f"{path / CONFIG}: {' '.join(str(error).split())[:200]}; make the bundle anew") from None


_READERS: dict[object, Callable[[Any], BundleConfig]] = {1: BundleConfig.model_validate}
"""The reader of each format version, all of which are kept."""


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


def _verify_file(path: Path, name: str, expected: object) -> None:
    file = path / name
    inside = PurePosixPath(name)
    if inside.is_absolute() or ".." in inside.parts or "\\" in name:
        raise RunError(f"{path / MANIFEST}: names {name!r}, which lies outside the bundle; do not use this bundle")
    if file.is_symlink() and not _stays_in_cache(path, file):
        raise RunError(f"{file}: is a link; a bundle holds files alone: copy the whole bundle again")
    if not file.is_file():
        raise RunError(f"{file}: is missing; copy the whole bundle again")
    if checksum(file) != expected:
        raise RunError(f"{file}: was changed after the bundle was made; copy the bundle again")


def _stays_in_cache(path: Path, link: Path) -> bool:
    """Whether a bundle is a snapshot in a cache of the Hugging Face hub, and a link of it leads into this cache."""
    caches = [parent.parent for parent in path.resolve().parents if parent.name == "snapshots"]
    return any((cache / "blobs").is_dir() and link.resolve().is_relative_to(cache) for cache in caches)
