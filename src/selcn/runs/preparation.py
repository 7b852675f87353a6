"""The first steps of a run: catalog, split and store, made once; and checks before any training."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from selcn.config import (
    CatalogSource,
    ClassificationSection,
    Graph,
    Ham10000Source,
    NetworkSection,
    PhantomSource,
    RunConfig,
)
from selcn.data.catalog import catalog_hash, draw_lesions, read_catalog, write_catalog
from selcn.data.imaging.masking import find_masking
from selcn.data.phantom import write_phantom
from selcn.data.sources import index_ham10000
from selcn.data.splits.protocols import make_split
from selcn.data.splits.split import Split, leaking_images, read_split, write_split
from selcn.data.store.build import build_store
from selcn.data.store.store import open_store, verify_store
from selcn.errors import ConfigError, RunError
from selcn.inference.row import row_keys
from selcn.io.progress import OnProgress
from selcn.labels import TEST, LabelSet
from selcn.labels.metadata import places
from selcn.models.build import build_for_training
from selcn.models.start import kept_and_new
from selcn.runs.executor import Executor
from selcn.runs.folder import with_present_classes
from selcn.runs.plan import Kind, Step
from selcn.runs.run import Run
from selcn.runs.starts import find_start
from selcn.runs.taken import check_overlap, check_taken, describe_start
from selcn.saliency.methods import find_saliency

MAX_NAMED = 8
"""Diagnoses without a class that are named."""
logger = logging.getLogger(__name__)


def prepare_run(config: RunConfig, executor: Executor) -> Run:
    """Make catalog and split where they have not been made, and open the run.

    Args:
        config: of the run.
        executor: of its folder.

    Raises:
        DataError: data are missing or wrong.
        RunError: catalog or split changed since the run began.
    """
    table = _catalog(config, executor)
    present = with_present_classes(config, table)
    _say_classes(config, present, table)
    return Run(executor.folder, present, table, _split(present, executor, table))


def prepare_store(run: Run, executor: Executor) -> None:
    """Prepare the images where that has not been done.

    Args:
        run: that has catalog and split.
        executor: of its folder.

    Raises:
        DataError: images cannot be read.
        ConfigError: the store that the configuration names was prepared differently.
    """
    section = run.config.prepare
    if section.store:
        _check_foreign_store(section.store, run)
        return

    def action(work: Path, on_progress: OnProgress) -> None:
        build_store(run.table, work / "arrays", size=section.size, hair=section.hair, on_progress=on_progress)

    executor.do(Step(Kind.STORE), action)


def check_networks(graph: Graph, names: Sequence[str]) -> None:
    """Check before anything is read what would otherwise end a run after hours: names, weight files.

    Args:
        graph: of the run's networks.
        names: of the networks that are trained.

    Raises:
        ConfigError: a network, its weights, its masking or its saliency method is unavailable, a network's name
            clashes with a key of prediction rows, or a network that is taken or started from does not fit.
        RunError: a bundle is incomplete or was changed.
    """
    labels = {name: section.labels.names for name, section in graph.classifiers.items()}
    row_keys(labels, lesion=graph.segmenter is not None, sets=True)
    for name in names:
        section = graph.nodes[name].section
        network = build_for_training(section)
        if section.init:
            kept_and_new(network, section.spec, find_start(section.init, name, 0))
        if isinstance(section, ClassificationSection):
            find_masking(section.masking)
            find_saliency(section.saliency)
    check_taken(graph, names)


def check_labels(run: Run, names: Sequence[str]) -> None:
    """Check before anything is trained whether every class and fold has enough images; log what cannot be scored.

    Args:
        run: that has catalog and split.
        names: of the networks that are trained.

    Raises:
        ConfigError: a batch is larger than a training set, no image is labelled for a network, or the test subset holds
            images that a network, or what it starts from, was trained on.
        DataError: a required class has no image in some training set.
    """
    for name in names:
        if run.graph.nodes[name].section.taken is None:
            _check_trainable(run, name)
        tested = int(run.labelled(name)[run.test_rows].sum())
        if tested < len(run.test_rows):
            logger.info(
                "network %s: %d of %d test images have a %s", name, tested, len(run.test_rows), _what(run, name)
            )
    check_overlap(run, names)


def _say_classes(config: RunConfig, present: RunConfig, table: pd.DataFrame) -> None:
    """Log which classes no image has, and which images have no class."""
    for name, section in present.graph.classifiers.items():
        if section.taken:
            continue
        labels, whole = section.labels, config.graph.classifiers[name].labels
        absent = ", ".join(one for one in whole.names if one not in labels.names)
        if absent:
            logger.info("network %s: no image is %s; its classes are %s", name, absent, ", ".join(labels.names))
        if labels.column in table:
            counts = table[labels.column].value_counts()
            other = [f"{count} {word or 'unknown'}" for word, count in counts.items() if not labels.class_of(word)]
            if other:
                more = " ..." * (len(other) > MAX_NAMED)
                logger.info("network %s: not trained on %s%s", name, ", ".join(other[:MAX_NAMED]), more)


def _check_trainable(run: Run, network: str) -> None:
    labelled, section = run.labelled(network), run.graph.nodes[network].section
    if not labelled.any():
        raise ConfigError(
            f"network {network}: no image has a {_what(run, network)}{_there(run, section)}; fill in the catalog or "
            "leave it out"
        )
    for fold in range(run.split.folds):
        run.task(network, fold)
        count = int(labelled[run.training_rows(fold)].sum())
        if not count:
            raise ConfigError(
                f"network {network}: all {labelled.sum()} images with a {_what(run, network)} are tested or lie in "
                f"fold {fold}, so that none is left to train on without it; label images of other folds"
            )
        if count < section.batch:
            raise ConfigError(
                f"networks.{network}.batch is {section.batch}, but {count} labelled images are to be trained on "
                f"without fold {fold}; lower it or add labelled images"
            )
    if isinstance(section, ClassificationSection) and section.masks == "true":
        without = int((labelled & (run.table["mask_path"] == "").to_numpy()).sum())
        if without:
            raise ConfigError(
                f"network {network}: masks: true, but {without} labelled images have no mask; leave them out of the "
                "catalog or take predicted masks"
            )
    if isinstance(section, ClassificationSection) and section.metadata:
        _check_metadata(run, network, section.metadata)
    if section.init:
        start = describe_start(run, network, 0)
        described = (start[key] or "nothing" for key in ("init", "kept", "new"))
        logger.info("network %s: starts from %s; kept: %s; new: %s", network, *described)


def _check_metadata(run: Run, network: str, fields: Sequence[str]) -> None:
    """Refuse metadata that the catalog has no column for, and log what is missing or unknown."""
    for field in fields:
        if field not in run.table:
            there = ", ".join(run.table.columns)
            raise ConfigError(
                f"network {network}: the catalog has no column {field} for its metadata; it holds {there}"
            )
        words: Mapping[str, int] = run.metadata.unknown.get(field, {})
        known = run.metadata.numbers[:, places([field])].any(axis=1)
        if words and not known.any():
            raise ConfigError(
                f"network {network}: the catalog's column {field} holds no {field}, but such as {next(iter(words))!r}; "
                "correct it or leave it out of metadata"
            )
        missing = int((~known).sum())
        what = f", of these {sum(words.values())} unknown words such as {next(iter(words))!r}" if words else ""
        logger.info("network %s: %d of %d images have no %s%s", network, missing, len(run.table), field, what)


def _what(run: Run, network: str) -> str:
    """What labels an image for a network."""
    return "mask_path" if network == run.graph.segmenter else f"class of label set {run.labels(network).name}"


def _there(run: Run, section: NetworkSection) -> str:
    """What the catalog has in place of a class."""
    if not isinstance(section, ClassificationSection):
        return ""
    words = [word for word in run.table[section.labels.column].unique() if word]
    return f" ({section.labels.column} is {', '.join(words[:MAX_NAMED]) or 'empty everywhere'})"


def _catalog(config: RunConfig, executor: Executor) -> pd.DataFrame:
    source = config.data

    def action(work: Path, on_progress: OnProgress) -> dict[str, Any]:
        table = _read_source(config, work, on_progress)
        write_catalog(table, work / "catalog.csv")
        unknown = {f"without {name}": int((table[name] == "").sum()) for name in ("diagnosis", "symmetry")}
        return {"images": len(table), **unknown, "without mask": int((table["mask_path"] == "").sum())}

    executor.do(Step(Kind.DATA), action)
    table = read_catalog(executor.folder.catalog)
    if isinstance(source, CatalogSource) and source.path.exists():
        _refuse_other(executor, catalog_hash(read_catalog(source.path)), catalog_hash(table), source.path)
    return table


def _read_source(config: RunConfig, work: Path, on_progress: OnProgress) -> pd.DataFrame:
    match config.data:
        case PhantomSource() as source:
            size = config.prepare.size
            path = write_phantom(
                work / "phantom", images=source.images, seed=source.seed, size=size, on_progress=on_progress
            )
            return read_catalog(path)
        case Ham10000Source() as source:
            table = index_ham10000(source.paths, symmetry=source.symmetry).table
            return draw_lesions(table, source.lesions, source.seed) if source.lesions else table
        case CatalogSource() as source:
            return read_catalog(source.path)


def _split(config: RunConfig, executor: Executor, table: pd.DataFrame) -> Split:
    section = config.split

    def action(work: Path, on_progress: OnProgress) -> dict[str, Any]:
        if section.path:
            split = read_split(section.path, table)
        else:
            split = make_split(table, section, labels=_target_labels(config, table), on_progress=on_progress)
        write_split(split, table, work / "split.json")
        leaking = leaking_images(split, table).get(TEST, 0)
        return {"duplicates kept together": len(split.duplicates), "test images that leak": leaking}

    executor.do(Step(Kind.SPLIT), action)
    split = read_split(executor.folder.split, table)
    if section.path and section.path.exists():
        _refuse_other(executor, read_split(section.path, table).fingerprint, split.fingerprint, section.path)
    return split


def _target_labels(config: RunConfig, table: pd.DataFrame) -> LabelSet | None:
    """The target's label set, where the catalog has its column."""
    target = config.graph.classifiers.get(config.graph.target)
    return target.labels if target is not None and target.labels.column in table else None


def _refuse_other(executor: Executor, given: str, recorded: str, path: Path) -> None:
    if given != recorded:
        raise RunError(
            f"{path}: was changed since {executor.folder.path} began with it; put it back or choose another --out"
        )


def _check_foreign_store(path: Path, run: Run) -> None:
    verify_store(path)
    store, section = open_store(path, run.table), run.config.prepare
    if (store.size, store.hair) != (section.size, section.hair):
        raise ConfigError(
            f"{path}: holds {store.size[0]}x{store.size[1]} images with hair {store.hair}; set prepare.size and "
            "prepare.hair to the same, since new images are prepared by them"
        )
