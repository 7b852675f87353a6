import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from optuna.trial import TrialState

from selcn.config import RunConfig, load_config
from selcn.errors import ConfigError
from selcn.runs.jobs import Cluster
from selcn.runs.pipeline import Pipeline
from selcn.runs.tuning import find, open_study, thesis_space, tune
from selcn.runs.tuning.space import Range
from selcn.runs.tuning.worker import work_on

SPACE = {"lr": Range(low=1e-5, high=1e-2, scale="log"), "weighted": Range(choices=(True, False))}


@pytest.fixture
def pipeline(tiny_run: Path, tiny_config: RunConfig, tmp_path: Path) -> Pipeline:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    return Pipeline(tiny_config, run)


def test_a_search_leaves_a_config_that_trains_and_never_sees_the_test_subset(pipeline: Pipeline) -> None:
    run = pipeline.prepare()
    work_on(0, find(run, "symmetry", space=SPACE, trials=2), str(run.folder.path), "cpu")
    folder = tune(pipeline, run, find(run, "symmetry", space=SPACE, trials=3), Cluster(jobs=1))
    trials = pd.read_csv(folder / "trials.csv")
    assert len(trials) == 3, "a study resumes by its name"
    best = trials[trials["state"] == "complete"].sort_values("score", ascending=False, kind="stable").iloc[0]
    config = load_config(folder / "best.yaml")
    assert config.networks["symmetry"].lr == pytest.approx(best["lr"])
    assert config.networks["lesion"] == pipeline.config.networks["lesion"]
    assert (folder / "history.png").stat().st_size > 1000


KILLED = """
import os, pickle, signal, sys
from selcn.runs.tuning import worker

worker._Trial.train = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
worker.work_on(1, pickle.loads(bytes.fromhex(sys.argv[2])), sys.argv[1], "cpu")
"""


def test_the_trial_of_a_killed_worker_is_tried_again_with_the_same_values(pipeline: Pipeline) -> None:
    search = find(pipeline.prepare(), "symmetry", space=SPACE, trials=1)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(pipeline.executor.folder.path), pickle.dumps(search).hex()], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    study = open_study(search.name, search.storage)
    (lost,) = study.get_trials(states=(TrialState.RUNNING,))
    work_on(0, search, str(pipeline.executor.folder.path), "cpu")
    trials = study.get_trials()
    assert trials[lost.number].state is TrialState.FAIL
    retried = next(trial for trial in trials if trial.user_attrs.get("retry of") == lost.number)
    assert retried.params == lost.params
    assert retried.state is TrialState.COMPLETE
    assert sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials) == 1


def test_what_cannot_be_searched_is_refused(pipeline: Pipeline) -> None:
    run = pipeline.prepare()
    with pytest.raises(ConfigError, match="--fold 5: the split has folds 0 to 1"):
        find(run, "symmetry", space=SPACE, trials=1, fold=5)
    wrong = find(run, "lesion", space=SPACE, trials=1)
    with pytest.raises(ConfigError, match="lesion has no key weighted"):
        tune(pipeline, run, wrong, Cluster(jobs=1))
    nowhere = find(
        run,
        "lesion",
        space=thesis_space(run.graph.nodes["lesion"].section),
        trials=1,
        storage="postgresql+psycopg://me:secret@localhost:1/none",
    )
    with pytest.raises(ConfigError, match=r"--storage postgresql\+psycopg://me:…@localhost:1/none: cannot be reached"):
        tune(pipeline, run, nowhere, Cluster(jobs=1))
