"""What can be said of predictions whose truth nobody knows: what is predicted, and how surely."""

import numpy as np
import pandas as pd

from selcn.evaluation.intervals import RESAMPLES, Statistic, interval_table
from selcn.evaluation.predictions import FloatArray, Predictions, class_set


def evaluate_without_truth(
    table: pd.DataFrame, source: str, *, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Share of images that each class is predicted of, mean confidence and mean entropy, with 95 % intervals.

    Args:
        table: class probabilities, a row an image, as in a prediction file without its column ``truth``; where there is
            no ``group`` each image is its own, where there is no ``fold`` all are of the test part.
        source: what an error calls the table.
        resamples: of each interval.
        seed: of the bootstrap.

    Raises:
        DataError: a column is missing or unknown, or rows are bad.
    """
    defaults = {"group": table.get("image_id", ""), "fold": "test"}
    filled = table.assign(**{name: value for name, value in defaults.items() if name not in table})
    # Any truth will do: nothing that follows looks at it.
    predictions = Predictions.of(filled.assign(truth=class_set(filled, source)[0]), source)
    return interval_table(
        predictions.table,
        lambda rows: _statistic(Predictions(predictions.classes, rows)),
        resamples=resamples,
        seed=seed,
    )


def _statistic(predictions: Predictions) -> Statistic:
    probabilities = predictions.probabilities
    answered = np.eye(len(predictions.classes))[probabilities.argmax(axis=1)]
    logarithms = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    columns = np.column_stack([answered, probabilities.max(axis=1), -(probabilities * logarithms).sum(axis=1)])
    names = [*(f"predicted_{name}" for name in predictions.classes), "mean_confidence", "mean_entropy"]

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        means = weights @ columns / weights.sum(axis=1, keepdims=True)
        return dict(zip(names, means.T, strict=True))

    return statistic
