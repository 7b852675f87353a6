"""What `selcn saliency` is given -> which images are explained, and by whom.

Of a run each fold is explained by the member that did not see it, and the test part by all members together; of one
fold's network (a checkpoint, such as `RUN/symmetry/lae/fold-1`) only that fold and the test part, by that member.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from selcn.data.catalog import catalog_hash, groups, read_catalog
from selcn.data.discovery import find_pictures
from selcn.data.splits.split import Split
from selcn.errors import ConfigError, RunError
from selcn.explain.explainers import ClassExplainer, DiagnosisMember, Explainer, LesionExplainer, SymmetryMember
from selcn.explain.job import FilePictures, StoredPictures, Subject, Turn
from selcn.inference.assembly import read_bundle
from selcn.inference.bundle import NETWORKS, symmetry_labels
from selcn.io.files import sha256
from selcn.labels import TEST, Diagnosis, Head, Masking
from selcn.runs.trained import Trained, open_trained

STAGES = {"segmentation": Head.SEGMENTATION, "symmetry": Head.SYMMETRY, "classification": Head.DIAGNOSIS}
CHECKSUMS = "manifest.json"


@dataclass(frozen=True)
class Asked:
    """What is to be explained.

    Attributes:
        head: None for that of a checkpoint, else symmetry.
        mask: masking of the symmetry network, for a run with several; None for the bundled variant's.
        variant: name of the lesion classifier, for a run with several; None for the bundled one.
    """

    head: Head | None = None
    mask: Masking | None = None
    variant: str | None = None


def open_subject(
    source: Path | str, images: Sequence[Path] = (), asked: Asked | None = None, device: str | torch.device = "cpu"
) -> Subject:
    """Find out what a path is, and who may speak of which images.

    Args:
        source: a bundle, a run, or the folder of one of its networks.
        images: a catalog, or pictures and folders of them; a run and its networks have their own, which they are asked
            of where none are given.
        asked: what is to be explained; None for symmetry.
        device: where the networks run.

    Raises:
        RunError: none of the three, or something of it is missing.
        ConfigError: images are missing or not wanted, or the run has no such masking or variant.
        DataError: the catalog or a picture is wrong.
    """
    source, asked = Path(source), asked or Asked()
    if (source / CHECKSUMS).is_file():
        return _of_bundle(source, images, asked.head or Head.SYMMETRY, torch.device(device))
    path = source.parent if source.suffix == ".safetensors" else source
    for run in (path, *path.resolve().parents[:3]):
        if (run / "config.yaml").is_file():
            return _of_run(run, path.resolve().relative_to(run.resolve()).parts, images, asked, torch.device(device))
    raise RunError(
        f"{source}: neither a bundle, nor a run, nor a network of a run; give RUN or RUN/symmetry/lae/fold-0"
    )


def _of_bundle(path: Path, images: Sequence[Path], head: Head, device: torch.device) -> Subject:
    if not images:
        raise ConfigError(f"{path}: a bundle has no images of its own; name a catalog or pictures behind it")
    config, ensemble = read_bundle(path)
    cascades = list(ensemble.members)
    match head:
        case Head.SEGMENTATION:
            explainer: Explainer = LesionExplainer([cascade.segmenter for cascade in cascades])
        case Head.SYMMETRY:
            members = [SymmetryMember(cascade.segmenter, cascade.symmetry, cascade.cam_mask) for cascade in cascades]
            explainer = ClassExplainer(members, config.symmetry_labels)
        case Head.DIAGNOSIS:
            explainer = ClassExplainer([DiagnosisMember(cascade) for cascade in cascades], config.diagnosis_labels)
    table = _table(images)
    turns = [Turn(np.arange(len(table)), explainer)]
    said = {"networks": sha256(path / CHECKSUMS), "images": _files(table)}
    return Subject(table, FilePictures(table, config.prepare), turns, head, device, said)


def _of_run(run: Path, below: Sequence[str], images: Sequence[Path], asked: Asked, device: torch.device) -> Subject:
    trained = open_trained(run)
    split, table = trained.split, trained.table
    if not below and images:
        raise ConfigError(f"{run}: a run explains its own images, out of fold; for others give {run / 'bundle'}")
    networks = _Networks(trained, _head_of(below, asked), _which(below, asked))
    folds = [int(below[-1].removeprefix("fold-"))] if below else list(range(split.folds))
    if images:
        (fold,), table = folds, _table(images)
        turns = [Turn(np.arange(len(table)), networks.explainer([fold]))]
        pictures: FilePictures | StoredPictures = FilePictures(table, trained.config.prepare)
    else:
        turns = _turns(networks, split, table, folds)
        pictures = StoredPictures(trained.store)
        table = table.assign(group=table["image_id"].map(split.group), fold=table["image_id"].map(split.part))
    said = {"networks": networks.checksum(folds), "images": catalog_hash(table) if not images else _files(table)}
    return Subject(table, pictures, turns, networks.head, device, {**said, "folds": folds, "which": networks.name})


def _turns(networks: "_Networks", split: Split, table: pd.DataFrame, folds: Sequence[int]) -> list[Turn]:
    turns = [Turn(split.rows(table, str(fold)), networks.explainer([fold])) for fold in folds]
    if TEST in split.parts:
        together = turns[0].explainer if len(folds) == 1 else networks.explainer(folds)
        turns.append(Turn(split.rows(table, TEST), together))
    return turns


class _Networks:
    """The networks up to one head of a run, by fold."""

    def __init__(self, trained: Trained, head: Head, which: str | None) -> None:
        config = trained.config
        self.head, self.members = head, trained.members
        self.variant = trained.variant(which if head is Head.DIAGNOSIS else None)
        named = Masking.parse(which) if which and head is Head.SYMMETRY else None
        self.masking = named or self.members.cam_mask(self.variant)
        if self.masking not in config.cam_masks:
            there = ", ".join(config.cam_masks)
            raise ConfigError(f"{trained.folder}: has no symmetry network with masking {self.masking}; it has {there}")
        self.labels = Diagnosis.names() if head is Head.DIAGNOSIS else symmetry_labels(config.symmetry.classes)

    @property
    def name(self) -> str:
        """The masking or the variant."""
        return {Head.SYMMETRY: str(self.masking), Head.DIAGNOSIS: self.variant.name}.get(self.head, "")

    def explainer(self, folds: Sequence[int]) -> Explainer:
        """The networks of some folds together."""
        match self.head:
            case Head.SEGMENTATION:
                return LesionExplainer([self.members.segmenter(fold) for fold in folds])
            case Head.SYMMETRY:
                return ClassExplainer([self._symmetry(fold) for fold in folds], self.labels)
            case Head.DIAGNOSIS:
                cascades = [self.members.cascades(fold, [self.variant])[self.variant.name] for fold in folds]
                return ClassExplainer([DiagnosisMember(cascade) for cascade in cascades], self.labels)

    def checksum(self, folds: Sequence[int]) -> str:
        """Of the weights of all networks that speak."""
        count = list(Head).index(self.head) + 1
        of_folds = self.members.weights(self.variant, self.masking)
        files = [of_folds[fold][name] for fold in folds for name in NETWORKS[:count]]
        return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()

    def _symmetry(self, fold: int) -> SymmetryMember:
        return SymmetryMember(self.members.segmenter(fold), self.members.symmetry(self.masking, fold), self.masking)


def _head_of(below: Sequence[str], asked: Asked) -> Head:
    of_checkpoint = STAGES.get(below[0]) if below else None
    if below and (of_checkpoint is None or not below[-1].startswith("fold-")):
        raise RunError(f"{'/'.join(below)}: not a network of a run; give RUN/symmetry/lae/fold-0, for example")
    if of_checkpoint and asked.head not in (None, of_checkpoint):
        raise ConfigError(f"--head {asked.head}: {'/'.join(below)} is of head {of_checkpoint}; leave --head out")
    return of_checkpoint or asked.head or Head.SYMMETRY


def _which(below: Sequence[str], asked: Asked) -> str | None:
    """The masking or variant that was named, in a path or by an option."""
    if len(below) == 3:
        return below[1]
    return asked.variant or asked.mask


def _table(images: Sequence[Path]) -> pd.DataFrame:
    if len(images) == 1 and images[0].suffix.lower() in (".csv", ".tsv", ".txt"):
        table = read_catalog(images[0])
    else:
        paths = find_pictures(list(images))
        names = [path.stem for path in paths] if len({path.stem for path in paths}) == len(paths) else map(str, paths)
        table = pd.DataFrame({"image_id": names, "image_path": map(str, paths)}).assign(
            mask_path="", lesion_id="", patient_id="", diagnosis="", symmetry=""
        )
    return table.assign(group=groups(table), fold=TEST)


def _files(table: pd.DataFrame) -> str:
    return hashlib.sha256("\n".join(table["image_id"] + table["image_path"]).encode()).hexdigest()
