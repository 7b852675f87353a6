"""A search from start to end: what it needs, its workers, and what it found."""

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
from selcn.labels import Masking, StageName
from selcn.runs.jobs import Cluster, Jobs
from selcn.runs.pipeline import Pipeline
from selcn.runs.tuning.space import Space, configured
from selcn.runs.tuning.study import ENDED, open_study
from selcn.runs.tuning.worker import EPOCHS, Search, trials_left, work_on

BEST, TRIALS, HISTORY, IMPORTANCE = "best.yaml", "trials.csv", "history.png", "importance.png"


def find(
    pipeline: Pipeline,
    stage: StageName,
    *,
    space: Space,
    trials: int,
    name: str | None = None,
    storage: str | None = None,
    pruner: str = "halving",
    fold: int = 0,
    mask: Masking | None = None,
    cam_mask: Masking | None = None,
) -> Search:
    """What is searched in a run, for the first network that is meant.

    Raises:
        ConfigError: there is no such fold, masking or variant.
    """
    folds = pipeline.data.split.folds
    if fold >= folds:
        raise ConfigError(f"--fold {fold}: the split has folds 0 to {folds - 1}")
    step = pipeline.work.steps(stage, mask, cam_mask)[fold]
    name = name or "-".join(step.split("/")[:-1])
    variant = next((one for one in pipeline.config.classification.variants if one.name in step.split("/")), None)
    return Search(
        stage,
        step,
        trials,
        storage or str((pipeline.folder / "tuning" / f"{name}.log").resolve()),
        name,
        space,
        pruner,
        Masking.parse(step.split("/")[1]) if stage is StageName.SYMMETRY else None,
        variant.fusion.value if variant else None,
    )


def tune(pipeline: Pipeline, search: Search, cluster: Cluster) -> Path:
    """Search, in as many workers as the cluster's jobs, and write what was found to RUN/tuning/NAME.

    Earlier stages are trained first where that has not been done. Trials train without one fold and are judged by the
    score on that fold; the test part is never looked at.

    Returns:
        The folder: `best.yaml` that `train` and `run` take as it is, `trials.csv`, `history.png`, `importance.png`.

    Raises:
        ConfigError: the storage cannot be reached, or the space names keys that the stage does not have.
        RunError: workers failed for good, or no trial was finished.
    """
    pipeline.work.check()
    lowest = {key: one.choices[0] if one.choices else one.low for key, one in search.space.items()}
    configured(pipeline.config, search.stage, lowest, search.mask, search.fusion)
    study = open_study(search.name, search.storage, pruner=search.pruner)
    pipeline.train(pipeline.plan[search.step])
    _ = pipeline.data.store
    folder = pipeline.folder / "tuning" / search.name

    def ready() -> int:
        return _wanted(study, search.trials)

    def done() -> int:
        return len(study.get_trials(deepcopy=False, states=ENDED))

    jobs = Jobs(cluster, folder / "jobs", ready, done, pipeline.steps.console.print)
    jobs.run(work_on, search, str(pipeline.folder.resolve()), pipeline.compute.accelerator)
    write_findings(pipeline, search, study, folder)
    return folder


def write_findings(pipeline: Pipeline, search: Search, study: optuna.Study, folder: Path) -> None:
    """Write what a study has found so far.

    Raises:
        RunError: no trial was finished.
    """
    finished = study.get_trials(states=(TrialState.COMPLETE,))
    if not finished:
        raise RunError(f"{folder}: no trial was finished; widen the space or ask for more trials")
    best = configured(pipeline.config, search.stage, study.best_params, search.mask, search.fusion)
    write_text(folder / BEST, dump_config(best))
    write_text(folder / TRIALS, trial_table(study).to_csv(index=False))
    _draw_history(study, folder / HISTORY)
    if len(finished) > 1:
        _draw_importance(study, folder / IMPORTANCE)


def trial_table(study: optuna.Study) -> pd.DataFrame:
    """A row a trial: ``trial, state, score, epochs, seconds``, what it tried, and which worker did it."""
    rows = []
    for trial in study.get_trials(deepcopy=False):
        best = max(trial.intermediate_values.values(), default=float("nan"))
        seconds = trial.duration.total_seconds() if trial.duration else float("nan")
        head = {"trial": trial.number, "state": trial.state.name.lower(), "score": best}
        rows.append({**head, "epochs": trial.user_attrs.get(EPOCHS, 0), "seconds": seconds, **trial.params})
    return pd.DataFrame(rows)


def _wanted(study: optuna.Study, trials: int) -> int:
    """Workers that could be at work: a trial each, of those that have not ended."""
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
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # few trials: the plot shows it itself
            importance = get_param_importances(study)
    except (RuntimeError, ValueError):  # all scores alike: nothing made a difference
        return
    figure, axes = plt.subplots(figsize=(7, 0.6 + 0.5 * len(importance)), layout="constrained")
    names = list(importance)[::-1]
    axes.barh(names, [importance[name] for name in names], color="#0072b2")
    axes.set(xlabel="importance for the score (PED-ANOVA)", title=study.study_name)
    figure.savefig(path, dpi=120)
    plt.close(figure)
