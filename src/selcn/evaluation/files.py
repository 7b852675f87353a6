"""A prediction file of either kind -> its figures."""

from pathlib import Path

import pandas as pd

from selcn.evaluation.classification import evaluate_classification
from selcn.evaluation.intervals import RESAMPLES
from selcn.evaluation.segmentation import evaluate_segmentation
from selcn.tables import read_table


def evaluate_file(path: Path, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Figures with 95 % intervals of class probabilities or, where there is a column `dice`, of segmentation scores.

    Raises:
        DataError: the file is missing or wrong.
        ConfigError: ``resamples`` is below 1.
    """
    kind = evaluate_segmentation if "dice" in read_table(path).columns else evaluate_classification
    return kind(path, resamples=resamples, seed=seed)
