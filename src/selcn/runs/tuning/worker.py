"""One worker of a study: trials, one after the other, until there are enough."""

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
"""Attribute of a trial: the folder of its worker."""
EPOCHS = "epochs"
"""Attribute of a trial: the number of epochs trained."""


@dataclass(frozen=True)
class Search:
    """A hyperparameter search.

    Attributes:
        network: whose hyperparameters are searched.
        fold: that trials are validated on.
        trials: number of trials in the study, pruned ones included.
        storage: of the study.
        name: of the study.
        space: the ranges of the hyperparameters.
        pruner: how trials are stopped early, see `open_study`.
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
        """The training step whose hyperparameters are searched."""
        return Step(Kind.TRAIN, self.network, self.fold)


def work_on(number: int, search: Search, path: str, accelerator: str) -> dict[str, Any]:
    """In a job: run trials until the study has enough; trials that a killed worker left are retried.

    Args:
        number: of this worker among those at once, from 0.
        search: network, space and study.
        path: of the run's folder.
        accelerator: see `Compute`.

    Returns:
        ``trials``, the numbers of those that this worker ran.

    Raises:
        ConfigError: the storage cannot be reached.
    """
    folder = Path(path)
    config, compute = load_config(folder / "config.yaml"), Compute(accelerator=accelerator)
    run = Pipeline(config, folder, compute=compute, worker=True).prepare(check=False)
    work = folder / "tuning" / search.name / f"worker-{number}"
    work.mkdir(parents=True, exist_ok=True)
    done = []
    # A worker of the same number may still run where its parent was killed.
    with FileLock(work / ".lock"):
        study = open_study(search.name, search.storage, pruner=search.pruner)
        # A later worker of the same number must not repeat the samples of an earlier one.
        study.sampler = TPESampler(seed=hash((config.seed, number, len(study.trials))) % 2**32)
        _retry_lost(study, work)
        while trials_left(study, search.trials) > 0:
            trial = study.ask()
            trial.set_user_attr(WORKER, str(work))
            _tell(study, trial, _Trial(run, search, compute), work / f"trial-{trial.number}")
            done.append(trial.number)
    return {"trials": " ".join(map(str, done))}


def trials_left(study: optuna.Study, wanted: int) -> int:
    """Number of trials that are still to be started.

    Args:
        study: whose finished, pruned and running trials count.
        wanted: number of trials in all.
    """
    counted = (*ENDED, TrialState.RUNNING)
    return wanted - len(study.get_trials(deepcopy=False, states=counted))


def _retry_lost(study: optuna.Study, own: Path) -> None:
    """Queue the unfinished trials of dead workers of this run again: the system released their locks."""
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
    """The training of a trial: a network of a run, on some devices."""

    run: Run
    search: Search
    compute: Compute

    def train(self, values: Mapping[str, Any], out: Path, on_epoch: "_Best") -> None:
        """Train with these values of the hyperparameters."""
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
    except DivergedError:  # counts as pruned
        trial.set_user_attr("diverged", True)
        state = TrialState.PRUNED
    shutil.rmtree(out, ignore_errors=True)
    trial.set_user_attr(EPOCHS, best.epochs)
    study.tell(trial, best.score if state is TrialState.COMPLETE else None, state=state)


class _Best:
    """Reports a trial's best score after each epoch, and prunes the trial."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial, self.score, self.epochs = trial, float("-inf"), 0

    def __call__(self, epoch: int, values: Mapping[str, float]) -> None:
        score = next(value for name, value in values.items() if name.startswith("val_") and name != "val_loss")
        self.score, self.epochs = max(self.score, score), epoch
        self.trial.report(self.score, epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned
