"""A search with asynchronous successive halving against the same search without pruning, on the phantom.

Twelve trials of the symmetry network, at most nine epochs each; the first ten draw the same values in both.
"""

import tempfile
from pathlib import Path

import pandas as pd
from rich.console import Console

from selcn.config import RunConfig
from selcn.labels import StageName
from selcn.runs.jobs import Cluster
from selcn.runs.pipeline import Pipeline
from selcn.runs.tuning import find, thesis_space, tune

TRIALS = 12
CONFIG = {
    "data": {"source": "phantom", "images": 400},
    "split": {"folds": 2, "test": 0.25},
    "prepare": {"size": [96, 72], "hair": False},
    "segmentation": {"architecture": "Unet", "encoder": "tu-mobilenetv3_small_050", "size": [64, 64], "epochs": 3},
    "symmetry": {"backbone": "resnet10t", "epochs": 9, "patience": 9, "dropout": 0.1},
    "classification": {"backbone": "resnet10t"},
}


def measure() -> dict[str, float]:
    """Best score and epochs of both, and the ratio of the epochs."""
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        pipeline = Pipeline(RunConfig.model_validate(CONFIG), Path(name) / "run", Console(quiet=True))
        for pruner in ("none", "halving"):
            space = thesis_space(StageName.SYMMETRY)
            search = find(pipeline, StageName.SYMMETRY, space=space, trials=TRIALS, name=pruner, pruner=pruner)
            trials = pd.read_csv(tune(pipeline, search, Cluster(jobs=1)) / "trials.csv")
            figures[f"{pruner}: best balanced accuracy"] = float(trials["score"].max())
            figures[f"{pruner}: epochs"] = float(trials["epochs"].sum())
    return {**figures, "epochs, ratio": figures["halving: epochs"] / figures["none: epochs"]}


if __name__ == "__main__":
    print(measure())
