"""Search for a network's hyperparameters with Optuna, several workers on one study; the test subset is not used."""

from selcn.runs.tuning.space import Space, read_space, thesis_space
from selcn.runs.tuning.study import open_study
from selcn.runs.tuning.tune import find, tune
from selcn.runs.tuning.worker import Search

__all__ = ["Search", "Space", "find", "open_study", "read_space", "thesis_space", "tune"]
