"""What a finished run's folder holds, read for its page."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from selcn.config import RunConfig, Variant, load_config
from selcn.data.catalog import read_catalog
from selcn.data.splits.split import Split, read_split
from selcn.errors import RunError
from selcn.evaluation import Estimate, Predictions, read_predictions, read_scores
from selcn.evaluation.localisation import read_saliency_scores
from selcn.inference.assembly import read_bundle
from selcn.inference.bundle import BundleConfig
from selcn.inference.predictor import Predictor
from selcn.inference.torch_engine import TorchEngine
from selcn.labels import Head
from selcn.runs.metrics import SALIENCY, SALIENCY_SCORES
from selcn.runs.plan import explained_step, make_plan
from selcn.runs.steps import ENVIRONMENT, MANIFEST, read_manifest


@dataclass(frozen=True)
class Measurement:
    """A figure with its interval and what it was measured on."""

    estimate: Estimate
    images: int
    groups: int


Measurements = dict[str, dict[str, Measurement]]
"""By part (`test`, `validation`), then by metric; a part that was not measured is missing."""


@dataclass(frozen=True, eq=False)
class Curve:
    """How one fold was trained.

    Attributes:
        fold: its number.
        epochs: ``train_loss``, ``val_loss`` and ``val_<score>``, indexed by epoch from 1.
        score: name of the score's column.
        monitor: the column that chose the best epoch.
        best_epoch: the epoch whose weights were kept.
    """

    fold: int
    epochs: pd.DataFrame
    score: str
    monitor: str
    best_epoch: int


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A run whose every step has finished.

    Args:
        folder: of the run.
        config: what was run.
        table: the catalog.
        split: its parts.

    Made by :func:`open_run`; what is larger is read when it is asked for.
    """

    folder: Path
    config: RunConfig
    table: pd.DataFrame
    split: Split

    @property
    def environment(self) -> dict[str, str]:
        """Versions of the software that the run was started with, and the system."""
        environment: dict[str, str] = json.loads((self.folder / ENVIRONMENT).read_text(encoding="utf-8"))
        return environment

    @cached_property
    def predictor(self) -> Predictor:
        """The run's bundle.

        Raises:
            RunError: it is not whole, or was trained on another split.
        """
        config, ensemble = read_bundle(self.folder / "bundle")
        if config.split != self.split.fingerprint:
            raise RunError(f"{self.folder / 'bundle'}: was trained on another split; remove it and run again")
        return Predictor(config, TorchEngine(ensemble))

    @property
    def deployed(self) -> BundleConfig:
        """Which cascade the bundle holds."""
        return self.predictor.config

    @property
    def variants(self) -> dict[str, Variant]:
        """The lesion classifiers by name."""
        return {variant.name: variant for variant in self.config.classification.variants}

    def measured(self, name: str) -> Measurements:
        """The figures of a stage or variant."""
        return measurements(pd.read_csv(self.folder / "evaluation" / f"{name}.csv"))

    def folds(self) -> pd.DataFrame:
        """Each fold's and member's figures."""
        return pd.read_csv(self.folder / "evaluation" / "cross_validation.csv")

    def comparisons(self) -> dict[tuple[str, str], Measurements]:
        """Differences B - A by the names of A and B; none where no standalone has its SE-LCN."""
        path = self.folder / "evaluation" / "comparison.csv"
        if not path.exists():
            return {}
        pairs = pd.read_csv(path).groupby(["a", "b"], sort=False)
        return {(str(a), str(b)): measurements(rows) for (a, b), rows in pairs}

    def predictions(self, name: str) -> Predictions:
        """Per-image probabilities of symmetry or of a variant."""
        return read_predictions(self.folder / "predictions" / f"{name}.csv")

    def scores(self) -> pd.DataFrame:
        """Per-image scores of segmentation."""
        return read_scores(self.folder / "predictions" / "segmentation.csv")

    def saliency_scores(self, head: Head) -> pd.DataFrame | None:
        """Per-image scores of a head's saliency; None where no image had a true mask."""
        path = self.folder / explained_step(head) / SALIENCY_SCORES / "scores.csv"
        return read_saliency_scores(path) if path.is_file() else None

    def saliency_figures(self) -> pd.DataFrame | None:
        """Means of those scores with intervals; see `selcn.evaluation.localisation.summarise_saliency`."""
        path = self.folder / "evaluation" / SALIENCY
        return pd.read_csv(path) if path.is_file() else None

    def curves(self, stage: str) -> list[Curve]:
        """How the folds of a stage were trained."""
        return [_curve(self.folder / stage / f"fold-{fold}", fold) for fold in range(self.split.folds)]

    def manifests(self) -> dict[str, dict[str, Any]]:
        """What each step says of itself, in the order of the work."""
        return {name: read_manifest(self.folder / name) for name in _steps(self.config, self.split.folds)}


def open_run(folder: Path | str) -> FinishedRun:
    """Make sure that a run has finished, and read what is small of it.

    Raises:
        RunError: no run, or a step of it has not finished.
        DataError: the catalog or the split is wrong.
    """
    folder = Path(folder)
    recorded = folder / "config.yaml"
    if not recorded.is_file():
        raise RunError(f"{folder}: not a run (no config.yaml); give the folder made by `selcn run`")
    _refuse_unfinished(folder, ["data", "split"])
    table = read_catalog(folder / "data" / "catalog.csv")
    run = FinishedRun(folder, load_config(recorded), table, read_split(folder / "split" / "split.json", table))
    _refuse_unfinished(folder, _steps(run.config, run.split.folds))
    return run


def stages(config: RunConfig) -> list[str]:
    """Folders of everything that was trained on every fold, in the order of the work."""
    symmetries = [f"symmetry/{masking}" for masking in config.cam_masks]
    return ["segmentation", *symmetries, *(f"classification/{v.name}" for v in config.classification.variants)]


def _refuse_unfinished(folder: Path, steps: list[str]) -> None:
    for step in steps:
        if not (folder / step / MANIFEST).is_file():
            again = f"selcn run {folder / 'config.yaml'} --out {folder}"
            raise RunError(f"{folder}: step {step} has not finished; go on with `{again}`")


def _steps(config: RunConfig, folds: int) -> list[str]:
    store = [] if config.prepare.store else ["store"]
    return ["data", "split", *store, *make_plan(config, folds)]


def measurements(table: pd.DataFrame) -> Measurements:
    """Figures of an evaluation table."""
    found: Measurements = {}
    for row in table.to_dict(orient="records"):
        estimate = Estimate(row["value"], row["low"], row["high"])
        found.setdefault(row["fold_part"], {})[row["metric"]] = Measurement(estimate, row["images"], row["groups"])
    return found


def _curve(folder: Path, fold: int) -> Curve:
    epochs = pd.read_csv(folder / "metrics.csv", index_col="epoch")
    epochs.index += 1
    monitor = str(read_manifest(folder)["monitor"])
    score = next(name for name in epochs.columns if re.fullmatch(r"val_(?!loss$)\w+", name))
    values = epochs[monitor].to_numpy()
    best = int(np.nanargmin(values) if monitor == "val_loss" else np.nanargmax(values))
    return Curve(fold, epochs, score, monitor, int(epochs.index[best]))
