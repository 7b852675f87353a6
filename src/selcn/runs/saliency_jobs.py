"""The saliency job of a bundle, a run or one of its networks.

In a run, each fold is explained by the member that was not trained on it, and the test subset by the ensemble. One
fold's network (a checkpoint such as `RUN/networks/symmetry/fold-1`) explains only that fold and the test subset.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from selcn.config import PrepareSection
from selcn.data.catalog import catalog_hash, groups, read_catalog
from selcn.data.discovery import find_pictures
from selcn.data.metadata import encode_table
from selcn.data.naming import image_name
from selcn.errors import ConfigError, RunError
from selcn.explain.explainers import OWN, Choice, build_explainer
from selcn.explain.job import Assignment, ImageFiles, ImageSource, SaliencyJob, StoredImages
from selcn.inference.assembly import read_bundle
from selcn.inference.bundle import MANIFEST as CHECKSUMS
from selcn.io.files import sha256
from selcn.labels import TEST
from selcn.models.cascade import Cascade
from selcn.runs.plan import Kind
from selcn.runs.run import Run, open_run

_TABLES = (".csv", ".tsv", ".txt")


def open_job(
    source: Path | str,
    images: Sequence[Path] = (),
    network: str | None = None,
    *,
    method: str | None = None,
    layer: str | None = None,
    device: str | torch.device = "cpu",
) -> SaliencyJob:
    """The saliency job of a path: networks, images, and the explainer of each image.

    Args:
        source: a bundle, a run, or the folder of one of its networks.
        images: a catalog, or images and folders of them; empty for the run's own, which a bundle does not have.
        network: name of the explained network; None for that of a checkpoint, else for the target.
        method: name of a saliency method, for a classifier; None for the network's own.
        layer: name of a layer of the classifier's backbone, see `selcn.explain.layers`; None for the head's input.
        device: to run on.

    Raises:
        RunError: ``source`` is none of the three, or incomplete.
        ConfigError: images are missing or not allowed, or there is no such network, method or layer.
        DataError: the catalog or an image is wrong.
    """
    source, device, choice = Path(source), torch.device(device), Choice(method, layer)
    if (source / CHECKSUMS).is_file():
        return _bundle_job(source, images, network, choice, device)
    path = source.parent if source.suffix == ".safetensors" else source
    for run in (path, *path.resolve().parents[:3]):
        if (run / "config.yaml").is_file():
            below = path.resolve().relative_to(run.resolve()).parts
            if not below:
                return _whole_run_job(open_run(run), images, network, choice, device)
            return _checkpoint_job(open_run(run), below, images, network, choice, device)
    raise RunError(
        f"{source}: neither a bundle, nor a run, nor a network of a run; give RUN or RUN/networks/symmetry/fold-0"
    )


def run_job(run: Run, network: str, device: torch.device, choice: Choice = OWN) -> SaliencyJob:
    """The saliency job of a run's own images: each fold by its member, the test subset by the ensemble.

    Args:
        run: whose networks are trained.
        network: name of the explained network.
        device: to run on.
        choice: of method and layer, for a classifier.
    """
    return _own_images_job(run, network, list(range(run.split.folds)), choice, device)


def _bundle_job(
    path: Path, images: Sequence[Path], network: str | None, choice: Choice, device: torch.device
) -> SaliencyJob:
    if not images:
        raise ConfigError(f"{path}: a bundle has no images of its own; name a catalog or images behind it")
    config, ensemble = read_bundle(path)
    name = network or config.target
    if name not in config.networks:
        raise ConfigError(f"{path}: has no network {name}; it has {', '.join(config.networks)}")
    explainer = build_explainer(list(ensemble.members), name, choice)
    table = _table(images)
    prepare = PrepareSection(size=config.prepare.size, hair=config.prepare.hair)
    origin = {"networks": sha256(path / CHECKSUMS), "images": _files(table), **_chosen(choice)}
    if config.metadata:
        origin["metadata"] = hashlib.sha256(encode_table(table).numbers.tobytes()).hexdigest()
    assignments = [Assignment(np.arange(len(table)), explainer)]
    return SaliencyJob(table, ImageFiles(table, prepare), assignments, name, device, origin)


def _whole_run_job(
    run: Run, images: Sequence[Path], network: str | None, choice: Choice, device: torch.device
) -> SaliencyJob:
    if images:
        raise ConfigError(
            f"{run.folder.path}: a run explains its own images, out of fold; for others give {run.folder.bundle}"
        )
    return run_job(run, run.known(network), device, choice)


def _checkpoint_job(
    run: Run,
    below: Sequence[str],
    images: Sequence[Path],
    network: str | None,
    choice: Choice,
    device: torch.device,
) -> SaliencyJob:
    if len(below) != 3 or below[0] != Kind.TRAIN or not below[2].startswith("fold-"):
        raise RunError(f"{'/'.join(below)}: not a network of a run; give RUN/networks/symmetry/fold-0, for example")
    name, fold = run.known(below[1]), int(below[2].removeprefix("fold-"))
    if network not in (None, name):
        raise ConfigError(f"--network {network}: {'/'.join(below)} is of network {name}; leave --network out")
    if not images:
        return _own_images_job(run, name, [fold], choice, device)
    table = _table(images)
    assignments = [Assignment(np.arange(len(table)), build_explainer([_cascade(run, name, fold)], name, choice))]
    origin = {**_origin(run, name, [fold], choice), "images": _files(table)}
    return SaliencyJob(table, ImageFiles(table, run.config.prepare), assignments, name, device, origin)


def _own_images_job(run: Run, network: str, folds: Sequence[int], choice: Choice, device: torch.device) -> SaliencyJob:
    members = [_cascade(run, network, fold) for fold in folds]
    assignments = [
        Assignment(run.fold_rows[fold], build_explainer([member], network, choice))
        for fold, member in zip(folds, members, strict=True)
    ]
    if len(run.test_rows):
        together = assignments[0].explainer if len(folds) == 1 else build_explainer(members, network, choice)
        assignments.append(Assignment(run.test_rows, together))
    image = run.table["image_id"]
    table = run.table.assign(group=image.map(run.split.group), fold=image.map(run.split.part))
    origin = {**_origin(run, network, folds, choice), "images": catalog_hash(table)}
    images: ImageSource = StoredImages(run.store)
    return SaliencyJob(table, images, assignments, network, device, origin)


def _cascade(run: Run, network: str, fold: int) -> Cascade:
    return run.cascade(fold, run.graph.with_needs(network))


def _origin(run: Run, network: str, folds: Sequence[int], choice: Choice) -> dict[str, object]:
    """Identifies the networks of a job, as JSON."""
    checksum = run.weights_hash(run.graph.with_needs(network), folds)
    return {"networks": checksum, "folds": list(folds), **_chosen(choice)}


def _chosen(choice: Choice) -> dict[str, object]:
    """Of an origin; without a layer as before there were layers, so that earlier results are known again."""
    return {"method": choice.method, **({"layer": choice.layer} if choice.layer else {})}


def _table(images: Sequence[Path]) -> pd.DataFrame:
    if len(images) == 1 and images[0].suffix.lower() in _TABLES:
        table = read_catalog(images[0])
    else:
        paths = find_pictures(list(images))
        short = [image_name(path) for path in paths]
        names = short if len(set(short)) == len(paths) else map(str, paths)
        table = pd.DataFrame({"image_id": names, "image_path": map(str, paths)}).assign(
            mask_path="", lesion_id="", patient_id="", diagnosis="", symmetry=""
        )
    return table.assign(group=groups(table), fold=TEST)


def _files(table: pd.DataFrame) -> str:
    return hashlib.sha256("\n".join(table["image_id"] + table["image_path"]).encode()).hexdigest()
