import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from optuna.trial import TrialState
from rich.console import Console

from selcn.config import RunConfig, load_config
from selcn.errors import ConfigError
from selcn.labels import StageName
from selcn.runs.jobs import Cluster
from selcn.runs.pipeline import Pipeline
from selcn.runs.tuning import find, open_study, thesis_space, tune
from selcn.runs.tuning.space import Range
from selcn.runs.tuning.worker import work_on

QUIET = Console(quiet=True)
SPACE = {"lr": Range(low=1e-5, high=1e-2, scale="log"), "weighted": Range(choices=(True, False))}


@pytest.fixture
def pipeline(tiny_run: Path, tiny_config: RunConfig, tmp_path: Path) -> Pipeline:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    return Pipeline(tiny_config, run, QUIET)


def test_a_search_leaves_a_config_that_trains_and_never_sees_the_test_part(pipeline: Pipeline) -> None:
    search = find(pipeline, StageName.SYMMETRY, space=SPACE, trials=3)
    folder = tune(pipeline, search, Cluster(jobs=1))
    trials = pd.read_csv(folder / "trials.csv")
    assert len(trials) == 3
    best = trials[trials["state"] == "complete"].sort_values("score", ascending=False, kind="stable").iloc[0]
    config = load_config(folder / "best.yaml")
    assert config.symmetry.of(pipeline.config.cam_masks[0]).lr == pytest.approx(best["lr"])
    assert config.segmentation == pipeline.config.segmentation
    assert (folder / "history.png").stat().st_size > 1000
    tune(pipeline, find(pipeline, StageName.SYMMETRY, space=SPACE, trials=4), Cluster(jobs=1))
    assert len(pd.read_csv(folder / "trials.csv")) == 4, "a study goes on by its name"


KILLED = """
import os, signal, sys
from pathlib import Path
from selcn.runs.tuning import worker

def die(*_):
    Path(sys.argv[1], "begun").touch()
    os.kill(os.getpid(), signal.SIGKILL)

worker._train = die
import pickle
worker.work_on(1, pickle.loads(bytes.fromhex(sys.argv[2])), sys.argv[1], "cpu")
"""


def test_the_trial_of_a_killed_worker_is_tried_again_with_the_same_values(pipeline: Pipeline) -> None:

    search = find(pipeline, StageName.SYMMETRY, space=SPACE, trials=2)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(pipeline.folder), pickle.dumps(search).hex()], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    study = open_study(search.name, search.storage)
    (lost,) = study.get_trials(states=(TrialState.RUNNING,))
    work_on(0, search, str(pipeline.folder), "cpu")
    trials = study.get_trials()
    assert trials[lost.number].state is TrialState.FAIL
    retried = next(trial for trial in trials if trial.user_attrs.get("retry of") == lost.number)
    assert retried.params == lost.params
    assert retried.state is TrialState.COMPLETE
    assert sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials) == 2


def test_what_cannot_be_searched_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match="--fold 5: the split has folds 0 to 1"):
        find(pipeline, StageName.SYMMETRY, space=SPACE, trials=1, fold=5)
    wrong = find(pipeline, StageName.SEGMENTATION, space=SPACE, trials=1)
    with pytest.raises(ConfigError, match="segmentation has no key weighted"):
        tune(pipeline, wrong, Cluster(jobs=1))
    nowhere = find(
        pipeline,
        StageName.SEGMENTATION,
        space=thesis_space(StageName.SEGMENTATION),
        trials=1,
        storage="postgresql+psycopg://me:secret@localhost:1/none",
    )
    with pytest.raises(ConfigError, match=r"--storage postgresql\+psycopg://me:…@localhost:1/none: cannot be reached"):
        tune(pipeline, nowhere, Cluster(jobs=1))
