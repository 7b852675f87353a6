"""A hyperparameter search from start to end: earlier networks, workers, results."""

import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import optuna
import pandas as pd
from optuna.importance import get_param_importances
from optuna.trial import TrialState

from selcn.config import dump_config
from selcn.errors import ConfigError, RunError
from selcn.io.files import write_text
from selcn.runs.jobs import Cluster, Jobs
from selcn.runs.pipeline import Pipeline
from selcn.runs.run import Run
from selcn.runs.tuning.space import Space, configured
from selcn.runs.tuning.study import ENDED, open_study
from selcn.runs.tuning.worker import EPOCHS, Search, trials_left, work_on

BEST, TRIALS, HISTORY, IMPORTANCE = "best.yaml", "trials.csv", "history.png", "importance.png"


def find(
    run: Run,
    network: str,
    *,
    space: Space,
    trials: int,
    name: str | None = None,
    storage: str | None = None,
    pruner: str = "halving",
    fold: int = 0,
) -> Search:
    """The description of a search in a run.

    Args:
        run: that is prepared.
        network: whose hyperparameters are searched.
        space: their ranges.
        trials: number of trials in the study, pruned ones included.
        name: of the study; None for the network's.
        storage: of the study, see `open_study`; None for a journal file in the run.
        pruner: see `open_study`.
        fold: that trials are validated on.

    Raises:
        ConfigError: there is no such fold or network, or the network is taken from a bundle.
    """
    if fold >= run.split.folds:
        raise ConfigError(f"--fold {fold}: the split has folds 0 to {run.split.folds - 1}")
    network = run.known(network)
    if run.graph.nodes[network].section.taken:
        raise ConfigError(f"network {network}: is taken from a bundle, not trained; take init for from")
    name = name or network
    journal = str((run.folder.path / "tuning" / f"{name}.log").resolve())
    return Search(network, fold, trials, storage or journal, name, space, pruner)


def tune(pipeline: Pipeline, run: Run, search: Search, cluster: Cluster) -> Path:
    """Search with as many workers as the cluster's jobs, and write the results to RUN/tuning/NAME; resumable.

    Earlier networks are trained first where that has not been done. Trials train without one fold and are scored on
    that fold; the test subset is not used.

    Args:
        pipeline: holds the run's folder.
        run: that is prepared.
        search: network, space and study.
        cluster: where jobs run.

    Returns:
        The folder, with `best.yaml` (a configuration for `train` and `run`), `trials.csv` and charts.

    Raises:
        ConfigError: the storage cannot be reached, or the space names keys that the network does not have.
        RunError: workers failed for good, or no trial was finished.
    """
    lowest = {key: one.choices[0] if one.choices else one.low for key, one in search.space.items()}
    configured(run.config, search.network, lowest)
    study = open_study(search.name, search.storage, pruner=search.pruner)
    pipeline.do_all(run, run.plan[search.step])
    folder = run.folder.tuning(search.name)

    def ready() -> int:
        return _wanted(study, search.trials)

    def done() -> int:
        return len(study.get_trials(deepcopy=False, states=ENDED))

    jobs = Jobs(cluster, folder / "jobs", ready, done)
    jobs.run(work_on, search, str(run.folder.path.resolve()), pipeline.compute.accelerator)
    write_findings(run, search, study, folder)
    return folder


def write_findings(run: Run, search: Search, study: optuna.Study, folder: Path) -> None:
    """Write the results of a study so far: `best.yaml`, `trials.csv`, and charts of history and importance.

    Args:
        run: whose configuration `best.yaml` changes.
        search: network and space.
        study: with finished trials.
        folder: to write to.

    Raises:
        RunError: no trial was finished.
    """
    finished = study.get_trials(states=(TrialState.COMPLETE,))
    if not finished:
        raise RunError(f"{folder}: no trial was finished; widen the space or ask for more trials")
    best = configured(run.config, search.network, study.best_params)
    write_text(folder / BEST, dump_config(best))
    write_text(folder / TRIALS, trial_table(study).to_csv(index=False))
    _draw_history(study, folder / HISTORY)
    if len(finished) > 1:
        _draw_importance(study, folder / IMPORTANCE)


def trial_table(study: optuna.Study) -> pd.DataFrame:
    """One row a trial: ``trial, state, score, epochs, seconds``, and the values of its hyperparameters.

    Args:
        study: with any trials.
    """
    rows = []
    for trial in study.get_trials(deepcopy=False):
        best = max(trial.intermediate_values.values(), default=float("nan"))
        seconds = trial.duration.total_seconds() if trial.duration else float("nan")
        head = {"trial": trial.number, "state": trial.state.name.lower(), "score": best}
        rows.append({**head, "epochs": trial.user_attrs.get(EPOCHS, 0), "seconds": seconds, **trial.params})
    return pd.DataFrame(rows)


def _wanted(study: optuna.Study, trials: int) -> int:
    """Number of workers that have work: one a trial that has not ended."""
    return trials_left(study, trials) + len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))


def _draw_history(study: optuna.Study, path: Path) -> None:
    table = trial_table(study)
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for state, colour, marker in (("complete", "#0072b2", "o"), ("pruned", "#999999", "x")):
        rows = table[table["state"] == state]
        axes.scatter(rows["trial"], rows["score"], c=colour, marker=marker, label=state)
    best = table["score"].where(table["state"] == "complete").cummax().ffill()
    axes.step(table["trial"], best, where="post", color="#d55e00", label="best so far")
    axes.set(xlabel="trial", ylabel="score on the validation fold", title=study.study_name)
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_importance(study: optuna.Study, path: Path) -> None:
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # on few trials, which the plot shows
            importance = get_param_importances(study)
    except (RuntimeError, ValueError):  # all scores equal: no importance
        return
    figure, axes = plt.subplots(figsize=(7, 0.6 + 0.5 * len(importance)), layout="constrained")
    names = list(importance)[::-1]
    axes.barh(names, [importance[name] for name in names], color="#0072b2")
    axes.set(xlabel="importance for the score (PED-ANOVA)", title=study.study_name)
    figure.savefig(path, dpi=120)
    plt.close(figure)
