"""A run's folder opened: its configuration, data, networks and results."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from selcn.config import ClassificationSection, Graph, RunConfig, SegmentationSection, load_config
from selcn.data.catalog import read_catalog
from selcn.data.datasets import Sources
from selcn.data.metadata import EncodedMetadata, encode_table
from selcn.data.splits.split import Split, read_split
from selcn.data.store.store import Store, open_store
from selcn.errors import ConfigError, RunError
from selcn.evaluation.predictions import Predictions, read_predictions, read_scores
from selcn.inference.assembly import load_weights
from selcn.io.files import sha256
from selcn.labels import TEST, LabelSet
from selcn.models.build import build_network
from selcn.models.cascade import Cascade
from selcn.models.classifier import Classifier
from selcn.models.segmenter import Segmenter
from selcn.runs.curves import Curve, read_curve
from selcn.runs.folder import FEATURE_VIEWS, MASKS, SALIENCY, RunFolder, with_present_classes
from selcn.runs.plan import Kind, Plan, Step, make_plan
from selcn.runs.starts import find_start
from selcn.tasks.classification import ClassificationTask, class_weights
from selcn.tasks.frozen import FrozenTask
from selcn.tasks.segmentation import SegmentationTask
from selcn.tasks.task import Task
from selcn.training.trainer import WEIGHTS


@dataclass(frozen=True, eq=False)
class Run:
    """A run that has its data, and some or all of its networks; made by `open_run` or by a pipeline.

    Attributes:
        folder: its paths.
        config: of the run.
        table: the catalog.
        split: its test subset and folds.
    """

    folder: RunFolder
    config: RunConfig
    table: pd.DataFrame
    split: Split

    @property
    def graph(self) -> Graph:
        """The networks."""
        return self.config.graph

    @cached_property
    def plan(self) -> Plan:
        """Every step after data, split and store, with what it needs."""
        return make_plan(self.graph, self.split.folds)

    @cached_property
    def store(self) -> Store:
        """Prepared images and ground-truth masks."""
        return open_store(self.config.prepare.store or self.folder.store, self.table)

    @cached_property
    def metadata(self) -> EncodedMetadata:
        """Age, sex and site of all images, as classifiers read them."""
        return encode_table(self.table)

    def metadata_of(self, network: str, rows: np.ndarray) -> Tensor | None:
        """Metadata of some images (n, `selcn.labels.metadata.WIDTH`); None for a network that reads none.

        Args:
            network: its name.
            rows: int (n,), in the catalog.
        """
        section = self.graph.nodes[network].section
        reads = isinstance(section, ClassificationSection) and section.metadata
        return torch.from_numpy(self.metadata.numbers[rows]) if reads else None

    @cached_property
    def fold_rows(self) -> list[np.ndarray]:
        """Catalog rows of each fold, int (n,)."""
        return [self.split.rows(self.table, str(fold)) for fold in range(self.split.folds)]

    @cached_property
    def test_rows(self) -> np.ndarray:
        """Catalog rows of the test subset, int (n,)."""
        return self.split.rows(self.table, TEST)

    def training_rows(self, fold: int) -> np.ndarray:
        """Catalog rows of all folds but one, int (n,).

        Args:
            fold: that is left out, from 0.
        """
        others = [str(other) for other in range(self.split.folds) if other != fold]
        return self.split.rows(self.table, *others)

    def labels(self, network: str) -> LabelSet:
        """The label set of a classifier.

        Args:
            network: its name.
        """
        return self.graph.classifiers[network].labels  # type: ignore[no-any-return]

    def class_numbers(self, network: str) -> np.ndarray:
        """Class numbers of all images for a classifier, int64 (N,), -1 where unknown.

        Args:
            network: its name.

        Raises:
            ConfigError: the catalog has no such column as the label set's, and the network is to be trained.
        """
        labels = self.labels(network)
        if labels.column not in self.table:
            if self.graph.nodes[network].section.taken:
                return np.full(len(self.table), -1, dtype=np.int64)
            there = ", ".join(self.table.columns)
            raise ConfigError(f"network {network}: the catalog has no column {labels.column}; it holds {there}")
        return np.array(labels.numbers(self.table[labels.column]), dtype=np.int64)

    def labelled(self, network: str) -> np.ndarray:
        """Images that a network can be trained on or scored with, bool (N,): with a mask, or a class of its label set.

        Args:
            network: its name.

        Raises:
            ConfigError: see `class_numbers`.
        """
        if network in self.graph.classifiers:
            known: np.ndarray = self.class_numbers(network) >= 0
            return known
        return (self.table["mask_path"] != "").to_numpy()

    def task(self, network: str, fold: int) -> Task:
        """The task of training a network without one fold.

        Args:
            network: its name.
            fold: that is left out, from 0.

        Raises:
            ConfigError: the network is taken from a bundle; see also `class_numbers` and `find_start`.
            DataError: a required class has no image in the other folds.
        """
        section = self.graph.nodes[network].section
        if section.taken:
            raise ConfigError(f"network {network}: is taken from {section.taken}, not trained; take init for from")
        start = find_start(section.init, network, fold) if section.init else None
        if isinstance(section, SegmentationSection):
            return SegmentationTask(network, section, start=start)
        assert isinstance(section, ClassificationSection)
        kind = FrozenTask if section.freeze else ClassificationTask
        # Saliency that is read needs every class in training: that of an untrained class is meaningless.
        if not (section.weighted or section.adjusted or self.graph.is_read(network)):
            return kind(network, section, start=start)
        numbers = self.class_numbers(network)[self.training_rows(fold)]
        weight = class_weights(numbers, section.labels.names, section.balance)
        prior = 1 / (len(weight) * weight) if section.adjusted else None
        return kind(network, section, weight if section.weighted else None, prior, start=start)

    def sources(self, network: str) -> Sources:
        """The arrays that a network is trained on; the outputs of the networks that it needs must exist.

        Args:
            network: its name.
        """
        section = self.graph.nodes[network].section
        if not isinstance(section, ClassificationSection):
            return Sources(self.store, self.store.masks)
        saliency = tuple(self.output(one, SALIENCY) for one in section.reads)
        metadata = self.metadata.numbers if section.metadata else None
        if section.freeze:
            views = self.features(network, FEATURE_VIEWS)
            return Sources(self.store, None, saliency, self.class_numbers(network), metadata, views)
        true, needed = section.masks == "true", section.needs_mask
        masks = self.store.masks if true else self.output(str(self.graph.segmenter), MASKS) if needed else None
        return Sources(self.store, masks, saliency, self.class_numbers(network), metadata)

    def output(self, network: str, name: str) -> np.ndarray:
        """An array of a network's outputs, memory-mapped.

        Args:
            network: its name.
            name: of the file, one of `selcn.runs.folder`, such as ``PROBABILITIES``.
        """
        return np.load(self.folder.outputs(network) / name, mmap_mode="r")  # type: ignore[no-any-return]

    def features(self, network: str, name: str) -> np.ndarray:
        """An array of the stored features of a network with a frozen backbone, memory-mapped.

        Args:
            network: its name.
            name: of the file, ``FEATURE_VIEWS`` or ``FEATURE_MAPS`` of `selcn.runs.folder`.
        """
        array: np.ndarray = np.load(self.folder.features(str(self.graph.features_of(network))) / name, mmap_mode="r")
        return array

    def network(self, name: str, fold: int) -> Segmenter | Classifier:
        """A trained network, on the CPU.

        Args:
            name: of the network.
            fold: that it was trained without, from 0.

        Raises:
            RunError: its weights are missing or are another network's.
        """
        network = build_network(self.graph.nodes[name].section.spec)
        load_weights(network, self.folder.training(name, fold) / WEIGHTS)
        return network

    def cascade(self, fold: int, names: Sequence[str]) -> Cascade:
        """The member that was trained without one fold, in eval mode on the CPU.

        Args:
            fold: that it was trained without, from 0.
            names: of its networks, in the order in which they run.

        Raises:
            RunError: weights are missing or are another network's.
        """
        specs = {name: self.graph.nodes[name].section.spec for name in names}
        networks = {name: self.network(name, fold) for name in names}
        return Cascade(specs, networks).eval()

    def weights_hash(self, names: Sequence[str], folds: Iterable[int]) -> str:
        """SHA-256 that identifies the weights of several networks, in hexadecimal.

        Args:
            names: of the networks.
            folds: that they were trained without, from 0.
        """
        files = [self.folder.training(name, fold) / WEIGHTS for fold in folds for name in names]
        return hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()

    def known(self, network: str | None) -> str:
        """The name of an existing network.

        Args:
            network: a name; None for the target.

        Raises:
            ConfigError: the run has none of that name.
        """
        if network is not None and network not in self.graph.nodes:
            raise ConfigError(f"{self.folder.path}: has no network {network}; it has {', '.join(self.graph.nodes)}")
        return network or self.graph.target

    def predictions(self, network: str) -> Predictions:
        """Per-image probabilities of a classifier.

        Args:
            network: its name.

        Raises:
            DataError: its prediction file is missing or wrong.
        """
        return read_predictions(self.folder.prediction_file(network), self.labels(network))

    def scores(self) -> pd.DataFrame | None:
        """Per-image segmentation scores; None without a segmentation network or without ground-truth masks."""
        segmenter = self.graph.segmenter
        path = self.folder.prediction_file(segmenter) if segmenter else None
        return read_scores(path) if path and path.is_file() else None

    def curves(self, network: str) -> list[Curve]:
        """The learning curves of a network, one a fold; none of one that was taken from a bundle, or is measured.

        Args:
            network: its name; all its trainings must have finished.
        """
        measured = network in self.graph.classifiers and self.graph.classifiers[network].measured
        if measured or self.graph.nodes[network].section.taken:
            return []
        score = (SegmentationTask if network == self.graph.segmenter else ClassificationTask).score
        return [read_curve(self.folder, network, fold, f"val_{score}") for fold in range(self.split.folds)]

    def environment(self) -> dict[str, str]:
        """Versions of the software and of the system that the run was started with, and the machine."""
        environment: dict[str, str] = json.loads(self.folder.environment.read_text(encoding="utf-8"))
        return environment

    def manifests(self) -> dict[str, dict[str, Any]]:
        """The manifest of each step by its path, in order.

        Raises:
            RunError: a step has not finished; the line names it.
        """
        own = [Kind.DATA, Kind.SPLIT, *([] if self.config.prepare.store else [Kind.STORE])]
        return {step.path: self.folder.manifest(step) for step in (*map(Step, own), *self.plan)}


def open_run(path: Path | str) -> Run:
    """Open a run's folder.

    Args:
        path: of the folder.

    Raises:
        RunError: no run, or it has no data yet.
        DataError: its catalog or split is wrong.
    """
    folder = RunFolder(Path(path))
    if not folder.config.is_file():
        raise RunError(f"{path}: not a run (no config.yaml); give the folder made by `selcn run`")
    folder.manifest(Step(Kind.DATA))
    folder.manifest(Step(Kind.SPLIT))
    table = read_catalog(folder.catalog)
    config = with_present_classes(load_config(folder.config), table)
    return Run(folder, config, table, read_split(folder.split, table))
