"""Networks of a run that are taken from a bundle, or start from one or from another run: checks, overlap, weights."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.torch import save_file

from selcn.config import ClassificationSection, Graph, split_reference
from selcn.config.specs import SPEC_KEYS
from selcn.data.catalog import groups
from selcn.errors import ConfigError
from selcn.inference.bundle import (
    MANIFEST,
    BundleConfig,
    DataSource,
    lesion_hash,
    read_config,
    read_lesions,
)
from selcn.inference.bundle import WEIGHTS as BUNDLE_WEIGHTS
from selcn.io.files import sha256
from selcn.models.build import build_network
from selcn.models.start import kept_and_new
from selcn.models.timm_backbones import input_size
from selcn.runs.run import Run, open_run
from selcn.runs.starts import find_start, network_file, run_of
from selcn.training.trainer import WEIGHTS

FREE = ("size", "saliency", "flips", "largest_region", "labels")
"""Keys of a specification that do not change what the weights mean; label sets are compared by their classes, and sizes
of transformers, which are built for one."""
SEEN, SEEN_IN_TEST = "fold images seen in training", "test images seen in training"
"""Keys of a manifest: images of the fold, and of the test subset, that its network was trained on before this run."""
logger = logging.getLogger(__name__)


def check_taken(graph: Graph, names: Iterable[str]) -> None:
    """Check that every network that is taken fits its bundle, and the networks that it needs.

    Args:
        graph: of the run's networks.
        names: of some of them.

    Raises:
        ConfigError: the bundle holds no such network, or another one than the configuration says.
        RunError: a bundle is incomplete or was changed.
    """
    for name, bundle, network in _taken(graph, names):
        config = _config(bundle)
        if network not in config.networks:
            raise ConfigError(f"network {name}: {bundle} has no network {network}; it has {', '.join(config.networks)}")
        spec, section = config.networks[network], graph.nodes[name].section
        wrong = [key for key in SPEC_KEYS[spec.task] if key not in FREE and _other(spec, section, key)]
        if isinstance(section, ClassificationSection) and network in config.classifiers:
            wrong += ["labels"] * (section.labels.names != config.labels(network).names)
            wrong += ["size"] * (input_size(section.backbone) is not None and _other(spec, section, "size"))
        if wrong:
            raise ConfigError(
                f"network {name}: {', '.join(wrong)} differ from {network} of {bundle}; leave them out beside from"
            )
        _check_sources(graph, name, bundle, config)


def _other(spec: object, section: object, key: str) -> bool:
    return bool(getattr(spec, key) != getattr(section, key, None))


def _check_sources(graph: Graph, name: str, bundle: Path, config: BundleConfig) -> None:
    """Refuse saliency of other classes than that which a taken network was trained with."""
    section = graph.nodes[name].section
    for source in section.reads if isinstance(section, ClassificationSection) else ():
        own, theirs = (
            tuple(one[source].labels.names) if source in one else ("a lesion mask",)
            for one in (graph.classifiers, config.classifiers)
        )
        if own != theirs:
            raise ConfigError(
                f"network {name}: of {bundle} reads {source} of classes {', '.join(theirs)}, not {', '.join(own)}; "
                f"write {source}: {{from: {bundle}}}"
            )


def check_overlap(run: Run, names: Iterable[str]) -> None:
    """Refuse test images that a network, or what it starts from, was trained on before; log those of the folds.

    Args:
        run: that has catalog and split.
        names: of some networks.

    Raises:
        ConfigError: there are such test images, and the network's entry does not say `overlap: true`.
    """
    for name in names:
        section = run.graph.nodes[name].section
        counts = [seen_images(run, name, fold) for fold in range(run.split.folds)]
        folds, tested = sum(one[SEEN] for one in counts), max(one[SEEN_IN_TEST] for one in counts)
        if tested and not section.overlap:
            raise ConfigError(
                f"network {name}: {section.taken or section.init} was trained on {tested} of the {len(run.test_rows)} "
                "test images; split so that they are in the folds, or say `overlap: true` beside it"
            )
        if tested or folds:
            logger.info(
                "network %s: %s was trained on %d images of the folds and %d of the test subset; metrics of those are "
                "optimistic",
                *(name, section.taken or section.init, folds, tested),
            )


def seen_images(run: Run, network: str, fold: int) -> dict[str, int]:
    """How many images of a fold, and of the test subset, a fold's network was trained on before this run.

    Args:
        run: that has catalog and split.
        network: its name.
        fold: that it is validated on, from 0.

    Returns:
        Numbers by the keys of a manifest, `SEEN` and `SEEN_IN_TEST`.
    """
    known = trained_before(run, network, fold)
    if not known:
        return {SEEN: 0, SEEN_IN_TEST: 0}
    seen = seen_rows(run.table, known)
    return {SEEN: int(seen[run.fold_rows[fold]].sum()), SEEN_IN_TEST: int(seen[run.test_rows].sum())}


def seen_rows(table: pd.DataFrame, known: frozenset[str]) -> np.ndarray:
    """Images that, or whose lesion, are among those of a training, bool (N,).

    Args:
        table: a catalog.
        known: hashes, as in `lesions.txt` of a bundle.
    """
    pairs = zip(*_names(table), strict=True)
    return np.array([not known.isdisjoint(map(lesion_hash, names)) for names in pairs], dtype=bool)


def refuse_seen(bundle: Path, table: pd.DataFrame, *, overlap: bool) -> int:
    """Count the images of a catalog that, or whose lesion, a bundle was trained on, and refuse them.

    Args:
        bundle: its folder.
        table: a catalog.
        overlap: whether there may be some.

    Raises:
        ConfigError: there are some, and ``overlap`` is not set.
    """
    seen = int(seen_rows(table, read_lesions(bundle)).sum())
    if seen and not overlap:
        raise ConfigError(
            f"{bundle}: was trained on lesions or images of {seen} of the {len(table)} images; leave them out, or give "
            "--overlap for optimistic metrics"
        )
    return seen


def trained_before(run: Run, network: str, fold: int) -> frozenset[str]:
    """Hashes of the lesions and images that a fold's network was trained on before this run.

    Those of a bundle or a run that it is taken from or starts from; none are known of a file that lies elsewhere.

    Args:
        run: that has catalog and split.
        network: its name.
        fold: that it is validated on, from 0.
    """
    section = run.graph.nodes[network].section
    reference = section.taken or section.init
    if reference is None:
        return frozenset()
    path, _ = split_reference(reference)
    if (path / MANIFEST).is_file():
        config = _config(path)
        if (config.split, config.members) == (run.split.fingerprint, run.split.folds):
            # Member k was trained without fold k of this very split.
            return frozenset(training_lesions(run.table, run.training_rows(fold)))
        return read_lesions(path)
    file = network_file(path, fold)
    folder = run_of(file)
    if folder is None:
        logger.info("network %s: it is not known what %s was trained on", network, reference)
        return frozenset()
    source, left_out = open_run(folder), int(file.parent.name.removeprefix("fold-"))
    own = training_lesions(source.table, source.training_rows(left_out))
    return trained_before(source, file.parent.parent.name, left_out).union(own)


def copy_member(run: Run, network: str, fold: int, out: Path) -> dict[str, Any]:
    """Write the weights of a bundle's member to where a training would write them.

    Args:
        run: that has catalog and split.
        network: name of a network that is taken from a bundle.
        fold: of the run; member ``fold`` modulo the number of members is taken.
        out: folder to write to.

    Returns:
        What the step's manifest records: bundle, network, member, and images of this run that it was trained on.
    """
    ((_, bundle, name),) = _taken(run.graph, [network])
    member = fold % _config(bundle).members
    prefix = f"members.{member}.networks.{name}."
    with safe_open(bundle / BUNDLE_WEIGHTS, "pt") as file:
        weights = {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
    save_file(weights, out / WEIGHTS)
    identity = {"bundle": sha256(bundle / MANIFEST), "network": name, "member": member}
    return {**identity, **seen_images(run, network, fold)}


def describe_start(run: Run, network: str, fold: int) -> dict[str, Any]:
    """What the manifest of a training records of the weights that it started from; empty where those were none.

    Args:
        run: that has catalog and split.
        network: its name.
        fold: that it is trained without, from 0.
    """
    section = run.graph.nodes[network].section
    if section.init is None:
        return {}
    start = find_start(section.init, network, fold)
    kept, new = kept_and_new(build_network(section.spec), section.spec, start)
    identity = {"init": start.text, "sha256": sha256(start.file), "kept": ", ".join(kept), "new": ", ".join(new)}
    return {**identity, **seen_images(run, network, fold)}


def training_lesions(table: pd.DataFrame, rows: np.ndarray) -> list[str]:
    """Hashes of the lesions and images of some rows, as in `lesions.txt` of a bundle.

    Args:
        table: a catalog.
        rows: int (n,), those that were trained on.
    """
    return [lesion_hash(name) for names in _names(table) for name in names.iloc[rows]]


def earlier_lesions(run: Run, names: Sequence[str]) -> list[str]:
    """Hashes of the lesions and images that networks were trained on before this run.

    Args:
        run: that has catalog and split.
        names: of some of its networks.
    """
    folds = range(run.split.folds)
    return sorted(frozenset().union(*(trained_before(run, name, fold) for name in names for fold in folds)))


def taken_sources(graph: Graph, names: Sequence[str]) -> list[DataSource]:
    """Where the training images of taken networks came from.

    Args:
        graph: of the run's networks.
        names: of some of them.
    """
    return [source for bundle in _bundles(graph, names) for source in _config(bundle).sources]


def _config(bundle: Path) -> BundleConfig:
    """The configuration of a bundle, whose checksums are verified once a process."""
    return _verified(bundle, (bundle / MANIFEST).stat().st_mtime_ns if (bundle / MANIFEST).is_file() else 0)


@lru_cache
def _verified(bundle: Path, _made: int) -> BundleConfig:
    return read_config(bundle)


def _names(table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """What is hashed of each image: its group, and itself."""
    return groups(table), "image:" + table["image_id"]


def _bundles(graph: Graph, names: Sequence[str]) -> list[Path]:
    return sorted({bundle for _, bundle, _ in _taken(graph, names)})


def _taken(graph: Graph, names: Iterable[str]) -> Iterator[tuple[str, Path, str]]:
    """Name, bundle and the bundle's network of those that are taken."""
    for name in names:
        reference = graph.nodes[name].section.taken
        if reference:
            bundle, network = split_reference(reference)
            yield name, bundle, network or name
