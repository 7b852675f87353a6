"""A whole run, from data to metrics, as resumable steps in one folder.

`selcn.runs.out_of_fold` explains how leakage between networks is prevented.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from selcn.config import RunConfig
from selcn.explain.scoring import write_saliency_scores
from selcn.io.progress import OnProgress, ShowProgress, show_nothing
from selcn.runs.bundling import fill_bundle
from selcn.runs.executor import Executor
from selcn.runs.features import check_features, write_features
from selcn.runs.folder import SCORES, RunFolder
from selcn.runs.metrics import tracked_metrics, write_metrics, write_saliency_metrics
from selcn.runs.out_of_fold import write_outputs
from selcn.runs.plan import Kind, Step, with_needs
from selcn.runs.predictions import tested_only, write_prediction_files
from selcn.runs.preparation import check_labels, check_networks, prepare_run, prepare_store
from selcn.runs.run import Run
from selcn.runs.saliency_jobs import run_job
from selcn.runs.taken import copy_member, describe_start
from selcn.tasks.classification import ClassificationTask
from selcn.training.compute import Compute
from selcn.training.measured import fit_measures
from selcn.training.profiling import EpochProfiler
from selcn.training.tracking import track_metrics
from selcn.training.trainer import fit

PROFILED_EPOCHS = 2
"""Number of epochs, the first of which warms up."""


class Pipeline:
    """Executes a run.

    Args:
        config: of the run.
        folder: of the run.
        show: shows the progress of a step.
        compute: devices to train on; None for one process.
        track: trackers to log to besides CSV and TensorBoard.
        worker: whether this process does single steps for another, which holds the folder's lock.

    Raises:
        RunError: the folder belongs to another configuration, or another process works in it.
        ConfigError: this machine lacks the devices of ``compute``.
    """

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        show: ShowProgress = show_nothing,
        *,
        compute: Compute | None = None,
        track: Sequence[str] = (),
        worker: bool = False,
    ) -> None:
        self.config, self.track = config, track
        self.compute = compute or Compute()
        self.compute.check()
        self.executor = Executor(RunFolder(folder), config, show, worker=worker)
        self.config = self.executor.config

    def prepare(self, *, check: bool = True, only: Iterable[str] | None = None) -> Run:
        """Make catalog, split and store where they have not been made, and open the run.

        Args:
            check: whether to check networks and labels first, see `check_networks` and `check_labels`.
            only: names of the networks that are to be trained, which are checked with what they need; None for all.

        Raises:
            ConfigError: the configuration does not fit the data.
            DataError: data are missing or wrong.
            RunError: catalog or split changed since the run began.
        """
        graph = self.config.graph
        needed = {one for name in (graph.nodes if only is None else only) for one in graph.with_needs(name)}
        names = [name for name in graph.nodes if name in needed]
        if check:
            check_networks(graph, names)
        run = prepare_run(self.config, self.executor)
        if check:
            check_labels(run, names)
        prepare_store(run, self.executor)
        return run

    def run(self) -> Run:
        """Do every step, in order; finished steps are not repeated."""
        run = self.prepare()
        self.do_all(run, run.plan)
        self.executor.tidy()
        return run

    def do_all(self, run: Run, wanted: Iterable[Step]) -> None:
        """Do steps of the plan, after all that they need.

        Args:
            run: that is prepared.
            wanted: steps of its plan.
        """
        for step in with_needs(run.plan, wanted):
            self.do(run, step)

    def profile(self, run: Run, step: Step) -> pd.DataFrame:
        """The time of a training's second epoch by action, see `EpochProfiler.table`; nothing of that training is kept.

        Args:
            run: that is prepared.
            step: of kind ``TRAIN``.
        """
        self.do_all(run, run.plan[step])
        network, fold = str(step.network), int(step.fold or 0)
        task, profiler = run.task(network, fold), EpochProfiler()
        short = replace(task, section=task.section.model_copy(update={"epochs": PROFILED_EPOCHS}))  # type: ignore[type-var]
        with TemporaryDirectory() as folder:
            fit(
                short,
                run.sources(network),
                run.training_rows(fold),
                run.fold_rows[fold],
                Path(folder),
                seed=self.config.seed,
                compute=self.compute,
                profiler=profiler,
            )
        return profiler.table()

    def do(self, run: Run, step: Step) -> Path:
        """Do one step of the plan, whose needs must have finished, and return its folder.

        Args:
            run: that is prepared.
            step: of its plan.
        """

        def action(work: Path, on_progress: OnProgress) -> dict[str, Any] | None:
            return self._act(run, step, work, on_progress)

        return self.executor.do(step, action)

    def _act(self, run: Run, step: Step, work: Path, on_progress: OnProgress) -> dict[str, Any] | None:
        match step.kind:
            case Kind.FEATURES:
                return write_features(run, str(step.network), work, self.compute.device, on_progress)
            case Kind.TRAIN:
                return self._train(run, str(step.network), int(step.fold or 0), work, on_progress)
            case Kind.OUTPUTS:
                write_outputs(run, str(step.network), work, self.compute.device, on_progress)
            case Kind.PREDICTIONS:
                write_prediction_files(run, work)
            case Kind.EXPLAINED:
                return self._explain(run, str(step.network), work, on_progress)
            case Kind.EVALUATION:
                write_metrics(run, work)
                write_saliency_metrics(run, work)
                track_metrics(tracked_metrics(run, work), self.track, work)
            case Kind.BUNDLE:
                fill_bundle(work, run, run.graph.target, device=self.compute.device)
            case _:
                raise ValueError(f"step {step} comes before the plan")
        return None

    def _train(self, run: Run, network: str, fold: int, work: Path, on_progress: OnProgress) -> dict[str, Any]:
        if run.graph.nodes[network].section.taken:
            return {} if self.executor.follows else copy_member(run, network, fold, work)
        task = run.task(network, fold)
        if isinstance(task, ClassificationTask) and task.section.measured:
            if self.executor.follows:
                return {}
            others = [rows for other, rows in enumerate(run.fold_rows) if other != fold]
            return fit_measures(task, run.sources(network), others, run.fold_rows[fold], work, on_progress)
        if run.graph.features_of(network):
            check_features(run, network)

        def on_epoch(epoch: int, values: Mapping[str, float]) -> None:
            note = " ".join(f"{key} {value:.3f}" for key, value in values.items())
            on_progress(epoch, task.section.epochs, note)

        result = fit(
            task,
            run.sources(network),
            run.training_rows(fold),
            run.fold_rows[fold],
            work,
            seed=self.config.seed + fold,
            compute=self.compute,
            track=self.track,
            on_epoch=on_epoch,
        )
        return {**result, **describe_start(run, network, fold)}

    def _explain(self, run: Run, network: str, work: Path, on_progress: OnProgress) -> dict[str, Any]:
        """Score the saliency of the test images, or of all where there is no test subset."""
        masked = (run.table["mask_path"] != "").to_numpy()
        job = run_job(run, network, self.compute.device).only(tested_only(run) & masked)
        if job.assignments:
            dilation = self.config.evaluation.dilation
            write_saliency_scores(job, work / SCORES, dilation=dilation, on_progress=on_progress)
        return {"images with a mask": sum(len(one.rows) for one in job.assignments)}
