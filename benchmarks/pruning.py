"""A search with asynchronous successive halving against the same search without pruning, on the phantom.

Twelve trials of the symmetry network, at most nine epochs each; the first ten draw the same values in both.
"""

import tempfile
from pathlib import Path

import pandas as pd

from selcn.config import RunConfig
from selcn.runs.jobs import Cluster
from selcn.runs.pipeline import Pipeline
from selcn.runs.tuning import find, thesis_space, tune

TRIALS = 12
CONFIG = {
    "data": {"source": "phantom", "images": 400},
    "split": {"folds": 2, "test": 0.25},
    "prepare": {"size": [96, 72], "hair": False},
    "networks": {
        "symmetry": {
            "task": "classification",
            "labels": "symmetry-binary",
            "backbone": "resnet10t",
            "epochs": 9,
            "patience": 9,
            "dropout": 0.1,
        },
    },
}


def measure() -> dict[str, float]:
    """Best score and epochs of both, and the ratio of the epochs."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        pipeline = Pipeline(RunConfig.model_validate(CONFIG), Path(name) / "run")
        run = pipeline.prepare()
        space = thesis_space(run.graph.nodes["symmetry"].section)
        for pruner in ("none", "halving"):
            search = find(run, "symmetry", space=space, trials=TRIALS, name=pruner, pruner=pruner)
            trials = pd.read_csv(tune(pipeline, run, search, Cluster(jobs=1)) / "trials.csv")
            found[f"{pruner}: best balanced accuracy"] = float(trials["score"].max())
            found[f"{pruner}: epochs"] = float(trials["epochs"].sum())
    return {**found, "epochs, ratio": found["halving: epochs"] / found["none: epochs"]}


if __name__ == "__main__":
    print(measure())
