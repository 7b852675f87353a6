"""Networks of a run that are taken from a bundle as they are: checks before any training, and their weights."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.torch import save_file

from selcn.config import ClassificationSection, Graph, split_reference
from selcn.config.networks import SPEC_KEYS
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
from selcn.runs.run import Run
from selcn.training.trainer import WEIGHTS

FREE = ("size", "saliency", "flips", "labels")
"""Keys of a specification that do not change what the weights mean; label sets are compared by their classes."""
SEEN, SEEN_IN_TEST = "fold images seen in training", "test images seen in training"
"""Keys of a manifest: images of the fold, and of the test subset, that a taken network was trained on."""
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
        config = read_config(bundle)
        if network not in config.networks:
            raise ConfigError(f"network {name}: {bundle} has no network {network}; it has {', '.join(config.networks)}")
        spec, section = config.networks[network], graph.nodes[name].section
        wrong = [key for key in SPEC_KEYS[spec.task] if key not in FREE and _other(spec, section, key)]
        if isinstance(section, ClassificationSection) and network in config.classifiers:
            wrong += ["labels"] * (section.labels.names != config.labels(network).names)
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
        own = graph.classifiers[source]
        if own.labels.names != config.labels(source).names:
            raise ConfigError(
                f"network {name}: of {bundle} reads {source} of classes {', '.join(config.labels(source).names)}, not "
                f"{', '.join(own.labels.names)}; write {source}: {{from: {bundle}}}"
            )


def check_overlap(run: Run, names: Iterable[str]) -> None:
    """Refuse test images that a taken network was trained on; log those of the folds.

    Args:
        run: that has catalog and split.
        names: of some networks.

    Raises:
        ConfigError: there are such test images, and the network's entry does not say `overlap: true`.
    """
    for name, bundle, _ in _taken(run.graph, names):
        seen, section = seen_rows(run, bundle), run.graph.nodes[name].section
        tested = int(seen[run.test_rows].sum())
        if tested and not section.overlap:
            raise ConfigError(
                f"network {name}: was trained on {tested} of the {len(run.test_rows)} test images; split so that they "
                f"are in the folds, or say `overlap: true` beside {bundle}"
            )
        folds = [seen_in_fold(run, bundle, fold) for fold in range(run.split.folds)]
        if tested or any(folds):
            logger.info(
                "network %s: was trained on %d images of the folds and %d of the test subset; figures on them are "
                "optimistic",
                *(name, sum(folds), tested),
            )


def seen_rows(run: Run, bundle: Path) -> np.ndarray:
    """Images of the catalog that, or whose lesion, a bundle's networks were trained on, bool (N,).

    Args:
        run: that has its catalog.
        bundle: its path.
    """
    known = read_lesions(bundle)
    pairs = zip(*_names(run.table), strict=True)
    return np.array([not known.isdisjoint(map(lesion_hash, names)) for names in pairs], dtype=bool)


def seen_in_fold(run: Run, bundle: Path, fold: int) -> int:
    """Number of a fold's images that the bundle's member for that fold was trained on.

    Args:
        run: that has catalog and split.
        bundle: its path.
        fold: from 0.
    """
    config = read_config(bundle)
    if (config.split, config.members) == (run.split.fingerprint, run.split.folds):
        return 0  # member k was trained without fold k of this very split
    return int(seen_rows(run, bundle)[run.fold_rows[fold]].sum())


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
    member = fold % read_config(bundle).members
    prefix = f"members.{member}.networks.{name}."
    with safe_open(bundle / BUNDLE_WEIGHTS, "pt") as file:
        weights = {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
    save_file(weights, out / WEIGHTS)
    identity = {"bundle": sha256(bundle / MANIFEST), "network": name, "member": member}
    tested = int(seen_rows(run, bundle)[run.test_rows].sum())
    return {**identity, SEEN: seen_in_fold(run, bundle, fold), SEEN_IN_TEST: tested}


def training_lesions(table: pd.DataFrame, rows: np.ndarray) -> list[str]:
    """Hashes of the lesions and images of some rows, as in `lesions.txt` of a bundle.

    Args:
        table: a catalog.
        rows: int (n,), those that were trained on.
    """
    return [lesion_hash(name) for names in _names(table) for name in names.iloc[rows]]


def taken_lesions(graph: Graph, names: Sequence[str]) -> list[str]:
    """Hashes of the lesions and images that taken networks were trained on.

    Args:
        graph: of the run's networks.
        names: of some of them.
    """
    return [one for bundle in _bundles(graph, names) for one in read_lesions(bundle)]


def taken_sources(graph: Graph, names: Sequence[str]) -> list[DataSource]:
    """Where the training images of taken networks came from.

    Args:
        graph: of the run's networks.
        names: of some of them.
    """
    return [source for bundle in _bundles(graph, names) for source in read_config(bundle).sources]


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
