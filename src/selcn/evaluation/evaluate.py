"""A prediction file of any kind -> its figures."""

from pathlib import Path

import pandas as pd

from selcn.evaluation.calibration import fit_temperature
from selcn.evaluation.classification import evaluate_classification
from selcn.evaluation.hard_labels import answer_columns, read_answers
from selcn.evaluation.intervals import RESAMPLES
from selcn.evaluation.localisation import read_saliency_scores, summarise_saliency
from selcn.evaluation.predictions import read_predictions
from selcn.evaluation.segmentation import evaluate_segmentation
from selcn.evaluation.unlabelled import evaluate_without_truth
from selcn.io.tables import read_table


def evaluate_file(path: Path, *, calibrate: bool = False, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Figures with 95 % intervals of whatever a file holds.

    That is class probabilities, segmentation scores (a column `dice`), saliency scores (a column `saliency`), or mere
    answers. Where a file holds several columns of answers, one a fold, there is a column ``prediction`` that names
    them. Of probabilities without a truth those figures are given that need none.

    Args:
        path: the file.
        calibrate: whether probabilities are first rescaled by a temperature fitted on the validation folds.
        resamples: of each interval.
        seed: of the bootstrap.

    Raises:
        DataError: the file is missing or wrong, or there is nothing to fit a temperature on.
        ConfigError: ``resamples`` is below 1.
    """
    columns = read_table(path)
    if "dice" in columns:
        return evaluate_segmentation(path, resamples=resamples, seed=seed)
    if "saliency" in columns:
        return summarise_saliency(read_saliency_scores(path), resamples=resamples, seed=seed)
    if not answer_columns(columns) and "truth" not in columns:
        return evaluate_without_truth(columns, str(path), resamples=resamples, seed=seed)
    if not answer_columns(columns):
        predictions = read_predictions(path)
        calibrated = fit_temperature(predictions).of(predictions) if calibrate else predictions
        return evaluate_classification(calibrated, resamples=resamples, seed=seed)
    tables = {
        name: evaluate_classification(answers, resamples=resamples, seed=seed)
        for name, answers in read_answers(path).items()
    }
    if len(tables) == 1:
        return next(iter(tables.values()))
    return pd.concat([table.assign(prediction=name) for name, table in tables.items()], ignore_index=True)
