"""One worker on a study: trials, one after the other, until there are enough."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from selcn.config import load_config
from selcn.errors import DivergedError
from selcn.runs.pipeline import Pipeline
from selcn.runs.plan import Kind, Step
from selcn.runs.run import Run
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
        network: whose hyperparameters are searched.
        fold: that trials are validated on.
        trials: how many are wanted in the study, pruned ones included.
        storage: of the study.
        name: of the study.
        space: what is searched.
        pruner: how trials are given up early.
    """

    network: str
    fold: int
    trials: int
    storage: str
    name: str
    space: Space
    pruner: str

    @property
    def step(self) -> Step:
        """The training that trials stand for."""
        return Step(Kind.TRAIN, self.network, self.fold)


def work_on(number: int, search: Search, path: str, accelerator: str) -> dict[str, Any]:
    """In a job: trials until the study has enough; what a killed worker of this number left is tried again."""
    folder = Path(path)
    config, compute = load_config(folder / "config.yaml"), Compute(accelerator=accelerator)
    run = Pipeline(config, folder, compute=compute, worker=True).prepare(check=False)
    work = folder / "tuning" / search.name / f"worker-{number}"
    work.mkdir(parents=True, exist_ok=True)
    done = []
    # Another worker of this number may live on where its parent was killed.
    with FileLock(work / ".lock"):
        study = open_study(search.name, search.storage, pruner=search.pruner)
        # A worker that comes later shall not draw again what one of its number drew before.
        study.sampler = TPESampler(seed=hash((config.seed, number, len(study.trials))) % 2**32)
        _retry_lost(study, work)
        while trials_left(study, search.trials) > 0:
            trial = study.ask()
            trial.set_user_attr(WORKER, str(work))
            _tell(study, trial, _Trial(run, search, compute), work / f"trial-{trial.number}")
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


@dataclass(frozen=True)
class _Trial:
    """What a trial trains: a network of a run, on some devices."""

    run: Run
    search: Search
    compute: Compute

    def train(self, values: Mapping[str, Any], out: Path, on_epoch: "_Best") -> None:
        """Train with some values of the hyperparameters."""
        config = configured(self.run.config, self.search.network, values)
        run, network, fold = replace(self.run, config=config), self.search.network, self.search.fold
        rows = run.training_rows(fold), run.fold_rows[fold]
        task, sources = run.task(network, fold), run.sources(network)
        fit(task, sources, *rows, out, seed=config.seed, compute=self.compute, on_epoch=on_epoch)


def _tell(study: optuna.Study, trial: optuna.Trial, job: _Trial, out: Path) -> None:
    values = {key: of_key.suggest(trial, key) for key, of_key in job.search.space.items()}
    best, state = _Best(trial), TrialState.COMPLETE
    try:
        job.train(values, out, best)
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
