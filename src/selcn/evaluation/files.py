"""A prediction file of either kind -> its figures."""

from pathlib import Path

import pandas as pd

from selcn.errors import DataError
from selcn.evaluation.classification import evaluate_classification
from selcn.evaluation.intervals import RESAMPLES
from selcn.evaluation.segmentation import evaluate_segmentation


def evaluate_file(path: Path, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Figures with 95 % intervals of class probabilities or, where there is a column `dice`, of segmentation scores.

    Raises:
        DataError: the file is missing or wrong.
        ConfigError: ``resamples`` is below 1.
    """
    try:
        header = pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as CSV ({error}); check the path") from None
    kind = evaluate_segmentation if "dice" in header else evaluate_classification
    return kind(path, resamples=resamples, seed=seed)
