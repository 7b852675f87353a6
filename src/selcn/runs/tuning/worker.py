"""One worker on a study: trials, one after the other, until there are enough."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.samplers import TPESampler
from optuna.trial import TrialState
from rich.console import Console

from selcn.config import load_config
from selcn.errors import DivergedError
from selcn.labels import Masking, StageName
from selcn.runs.pipeline import Pipeline
from selcn.runs.plan import fold_of
from selcn.runs.stagework import StageWork
from selcn.runs.tuning.space import Space, configured
from selcn.runs.tuning.study import ENDED, open_study, retry
from selcn.training.compute import Compute
from selcn.training.trainer import fit

WORKER = "worker"
"""Attribute of a trial: the folder of the worker that does it."""
EPOCHS = "epochs"
"""Attribute of a trial: how many it trained."""


@dataclass(frozen=True)
class Search:
    """What is searched, where and how long.

    Attributes:
        stage: which stage.
        step: the training step that trials stand for, such as `symmetry/lae/fold-0`: validated on that fold.
        trials: how many are wanted in the study, pruned ones included.
        storage: of the study.
        name: of the study.
        space: what is searched.
        pruner: how trials are given up early.
        mask, fusion: which recipe of the section the values are of.
    """

    stage: StageName
    step: str
    trials: int
    storage: str
    name: str
    space: Space
    pruner: str
    mask: Masking | None = None
    fusion: str | None = None


def work_on(number: int, search: Search, run: str, accelerator: str) -> dict[str, Any]:
    """In a job: trials until the study has enough; what a killed worker of this number left is tried again."""
    folder = Path(run)
    pipeline = Pipeline(
        load_config(folder / "config.yaml"),
        folder,
        Console(quiet=True),
        compute=Compute(accelerator=accelerator),
        worker=True,
    )
    work = folder / "tuning" / search.name / f"worker-{number}"
    work.mkdir(parents=True, exist_ok=True)
    done = []
    # Another worker of this number may live on where its parent was killed.
    with FileLock(work / ".lock"):
        study = open_study(search.name, search.storage, pruner=search.pruner)
        # A worker that comes later shall not draw again what one of its number drew before.
        study.sampler = TPESampler(seed=hash((pipeline.config.seed, number, len(study.trials))) % 2**32)
        _retry_lost(study, work)
        while trials_left(study, search.trials) > 0:
            trial = study.ask()
            trial.set_user_attr(WORKER, str(work))
            _tell(study, trial, pipeline, search, work / f"trial-{trial.number}")
            done.append(trial.number)
    return {"trials": " ".join(map(str, done))}


def trials_left(study: optuna.Study, wanted: int) -> int:
    """How many trials are still to be begun."""
    counted = (*ENDED, TrialState.RUNNING)
    return wanted - len(study.get_trials(deepcopy=False, states=counted))


def _retry_lost(study: optuna.Study, own: Path) -> None:
    """Queue again what workers of this run left under way and do no longer: the system gave up their locks."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        worker = Path(trial.user_attrs.get(WORKER, ""))
        if worker == own:
            retry(study, trial)
        elif worker.parent == own.parent:
            try:
                with FileLock(worker / ".lock", timeout=0):
                    retry(study, trial)
            except Timeout:
                pass


def _tell(study: optuna.Study, trial: optuna.Trial, pipeline: Pipeline, search: Search, out: Path) -> None:
    values = {key: of_key.suggest(trial, key) for key, of_key in search.space.items()}
    best, state = _Best(trial), TrialState.COMPLETE
    try:
        _train(values, pipeline, search, out, best)
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except DivergedError:  # as good a reason to give up as any
        trial.set_user_attr("diverged", True)
        state = TrialState.PRUNED
    shutil.rmtree(out, ignore_errors=True)
    trial.set_user_attr(EPOCHS, best.epochs)
    study.tell(trial, best.score if state is TrialState.COMPLETE else None, state=state)


class _Best:
    """Follows the score of a trial from epoch to epoch and gives the trial up where it falls behind."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial, self.score, self.epochs = trial, float("-inf"), 0

    def __call__(self, epoch: int, values: Mapping[str, float]) -> None:
        score = next(value for name, value in values.items() if name.startswith("val_") and name != "val_loss")
        self.score, self.epochs = max(self.score, score), epoch
        self.trial.report(self.score, epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def _train(values: Mapping[str, Any], pipeline: Pipeline, search: Search, out: Path, best: _Best) -> None:
    config = configured(pipeline.config, search.stage, values, search.mask, search.fusion)
    work, fold = StageWork(config, pipeline.folder, pipeline.data), fold_of(search.step)
    train, validation = work.training_rows(fold), work.fold_rows[fold]
    fit(work.stage(search.step), train, validation, out, seed=config.seed, compute=pipeline.compute, on_epoch=best)
