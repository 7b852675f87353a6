"""A prediction file of any kind -> its figures."""

from pathlib import Path

import pandas as pd

from selcn.evaluation.answers import answer_columns, read_answers
from selcn.evaluation.classification import evaluate_classification
from selcn.evaluation.intervals import RESAMPLES
from selcn.evaluation.segmentation import evaluate_segmentation
from selcn.tables import read_table


def evaluate_file(path: Path, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Figures with 95 % intervals of class probabilities, of segmentation scores (a column `dice`) or of mere answers.

    Where a file holds several columns of answers, one a fold, there is a column ``prediction`` that names them.

    Raises:
        DataError: the file is missing or wrong.
        ConfigError: ``resamples`` is below 1.
    """
    columns = read_table(path)
    if "dice" in columns:
        return evaluate_segmentation(path, resamples=resamples, seed=seed)
    if not answer_columns(columns):
        return evaluate_classification(path, resamples=resamples, seed=seed)
    tables = {
        name: evaluate_classification(answers, resamples=resamples, seed=seed)
        for name, answers in read_answers(path).items()
    }
    if len(tables) == 1:
        return next(iter(tables.values()))
    return pd.concat([table.assign(prediction=name) for name, table in tables.items()], ignore_index=True)
