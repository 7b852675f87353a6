"""The whole cascade, from data to figures, as resumable steps in one run folder.

How the stages are kept from leaking into one another is told in `crossfit`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from safetensors.numpy import load_file, save_file

from selcn.config import RunConfig
from selcn.evaluation.predictions import write_predictions, write_scores
from selcn.explain.scoring import write_saliency_scores
from selcn.labels import TEST, Head, Masking
from selcn.runs.bundling import deploy
from selcn.runs.members import Members
from selcn.runs.metrics import MEMBERS, SALIENCY_SCORES, write_figures, write_saliency_figures
from selcn.runs.out_of_fold import out_of_fold_masks, out_of_fold_saliency
from selcn.runs.plan import Plan, fold_of, make_plan, with_needs
from selcn.runs.predictions import Judged, alone, judge, score_masks, together
from selcn.runs.preparation import Preparation
from selcn.runs.stagework import StageWork
from selcn.runs.steps import Report, Steps
from selcn.runs.subjects import Asked, open_subject
from selcn.runs.trained import open_trained
from selcn.training.compute import Compute
from selcn.training.profiling import EpochProfiler
from selcn.training.trainer import fit

PROFILED = 2
"""Epochs of a profile, the first of which warms up."""
SAID = {"fold": "fold.safetensors", "test": "test.safetensors"}


class Pipeline:
    """One run of the cascade, as steps that its plan names.

    Args:
        config: what is run.
        run: its folder.
        console: where progress is shown.
        compute: what to train on.
        track: trackers to log to besides CSV and TensorBoard.
        worker: whether this process does single steps for another, which holds the run.

    Raises:
        RunError: the folder belongs to another configuration, or another process works in it.
        ConfigError: this machine lacks what is to be trained on.
    """

    def __init__(
        self,
        config: RunConfig,
        run: Path,
        console: Console | None = None,
        *,
        compute: Compute | None = None,
        track: Sequence[str] = (),
        worker: bool = False,
    ) -> None:
        self.config, self.folder = config, run
        self.compute, self.track = compute or Compute(), track
        self.compute.check()
        self.steps = Steps(run, config, console or Console(stderr=True), worker=worker)
        self.data = Preparation(config, self.steps)

    @cached_property
    def plan(self) -> Plan:
        """Every step after data, split and store, and what it needs."""
        return make_plan(self.config, self.data.split.folds)

    @cached_property
    def members(self) -> Members:
        """The networks that have been trained."""
        return Members(self.config, self.folder, self.data.split.folds)

    @cached_property
    def work(self) -> StageWork:
        """What there is to train."""
        return StageWork(self.config, self.folder, self.data)

    def run(self) -> None:
        """Everything, in order; what has finished is not repeated."""
        self.work.check()
        self.train(self.plan)
        self.steps.tidy()

    def train(self, wanted: Iterable[str]) -> None:
        """Some steps of the plan, and first all that they need."""
        for name in with_needs(self.plan, wanted):
            self.do(name)

    def profile(self, name: str) -> pd.DataFrame:
        """Where the time of a training step's second epoch goes; nothing of that training is kept."""
        self.train(self.plan[name])
        stage, fold, profiler = self.work.stage(name), fold_of(name), EpochProfiler()
        short = replace(stage, section=stage.section.model_copy(update={"epochs": PROFILED}))  # type: ignore[type-var]
        train, validation = self.work.training_rows(fold), self.work.fold_rows[fold]
        with TemporaryDirectory() as folder:
            fit(short, train, validation, Path(folder), seed=self.config.seed, compute=self.compute, profiler=profiler)
        return profiler.table()

    def do(self, name: str) -> Path:
        """One step of the plan, all that it needs having finished."""
        match name.split("/"):
            case ["masks"]:
                return self.steps.do(name, self._masks)
            case ["saliency", masking]:
                return self.steps.do(name, lambda work, report: self._saliency(Masking.parse(masking), work, report))
            case ["judged", _]:
                return self.steps.do(name, lambda work, report: self._judge(fold_of(name), work, report))
            case ["explained", head]:
                explain = partial(self._explain, Head.parse(head))
                return self.steps.do(name, explain, resumable=True)
            case ["bundle"]:
                return self.steps.do(name, self._bundle)
            case ["predictions"]:
                return self.steps.do(name, self._predict)
            case ["evaluation"]:
                return self.steps.do(name, self._evaluate)
            case _:
                return self.steps.do(name, lambda work, report: self._fit(name, work, report), resumable=True)

    def _fit(self, name: str, work: Path, report: Report) -> dict[str, Any]:
        stage, fold = self.work.stage(name), fold_of(name)

        def on_epoch(epoch: int, values: Mapping[str, float]) -> None:
            note = " ".join(f"{key} {value:.3f}" for key, value in values.items())
            report(epoch, stage.section.epochs, note)

        train, validation = self.work.training_rows(fold), self.work.fold_rows[fold]
        seed = self.config.seed + fold
        return fit(stage, train, validation, work, seed=seed, compute=self.compute, track=self.track, on_epoch=on_epoch)

    def _masks(self, work: Path, report: Report) -> None:
        networks, device = self.members.segmenters(), self.compute.device
        out_of_fold_masks(self.data.store, self.work.fold_rows, networks, work / "masks.npy", device, report)

    def _saliency(self, masking: Masking, work: Path, report: Report) -> None:
        networks, device = self.members.symmetries(masking), self.compute.device
        rows, out = self.work.fold_rows, work / "saliency.npy"
        out_of_fold_saliency(self.data.store, self.work.masks, masking, rows, networks, out, device, report)

    def _judge(self, fold: int, work: Path, report: Report) -> None:
        held, tested = self.work.fold_rows[fold], self.data.split.rows(self.data.table, TEST)
        rows = np.concatenate([held, tested])
        said = judge(self.data.store, self.members.cascades(fold), rows, self.compute.device, report)
        save_file({name: part[: len(held)].copy() for name, part in said.items()}, work / SAID["fold"])
        save_file({name: part[len(held) :].copy() for name, part in said.items()}, work / SAID["test"])

    def _bundle(self, work: Path, _: Report) -> None:
        trained = open_trained(self.folder)
        deploy(work, trained, trained.variant(None))

    def _predict(self, work: Path, _: Report) -> None:
        table, split, classes = self.data.table, self.data.split, self.config.symmetry.classes
        folders = [self.folder / "judged" / f"fold-{fold}" for fold in range(split.folds)]
        judged = [Judged(*(load_file(folder / name) for name in SAID.values())) for folder in folders]
        (work / MEMBERS).mkdir()
        for name in judged[0].fold:
            write_predictions(together(table, split, judged, name, classes), work / f"{name}.csv")
            if TEST in split.parts:
                for fold, member in enumerate(judged):
                    path = work / MEMBERS / f"{name}-fold-{fold}.csv"
                    write_predictions(alone(table, split, member, name, classes), path)
        scores = score_masks(table, self.data.store, split, self.members.segmenters(), self.compute.device)
        write_scores(scores, work / "segmentation.csv")

    def _explain(self, head: Head, work: Path, report: Report) -> dict[str, Any]:
        """Score the saliency of the images that no network saw."""
        subject = open_subject(self.folder, [], Asked(head), self.compute.device)
        if TEST in self.data.split.parts:
            subject = subject.only((subject.table["fold"] == TEST).to_numpy())
        masked = subject.only((subject.table["mask_path"] != "").to_numpy())
        if masked.turns:
            write_saliency_scores(masked, work / SALIENCY_SCORES, on_progress=report)
        return {"images with a mask": sum(len(turn.rows) for turn in masked.turns)}

    def _evaluate(self, work: Path, _: Report) -> None:
        write_figures(self.folder / "predictions", self.config.classification.variants, work, self.config.resamples)
        write_saliency_figures(self.folder, work, self.config.resamples)
