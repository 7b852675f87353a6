"""What docs/results.md says of calibration and prediction sets of the bundle that ships."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from selcn.evaluation import (
    Predictions,
    PredictionSets,
    Recalibration,
    evaluate_classification,
    fit_recalibration,
    prediction_set_table,
    read_predictions,
)
from selcn.inference.bundle import read_config
from selcn.labels import HAM10000, TEST
from tables import interval, markdown

HERE = Path(__file__).parent
FILE, TESTED = HERE / "ham10000" / "diagnosis.parquet", HERE / "ham10000-bundle" / "test-diagnosis.parquet"
BUNDLE = HERE.parents[1] / "bundles" / "ham10000"
SETS = {
    "coverage_by_lesion": "coverage, every lesion weighing alike",
    "coverage": "coverage, every image weighing alike",
    "set_size": "size",
}
METRICS = {
    "ece": "calibration error",
    "nll": "negative log-likelihood",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
}


def fit_temperature(predictions: Predictions) -> Recalibration:
    """The temperature of least negative log-likelihood (Guo et al. 2017), and no bias."""
    own = np.arange(len(predictions.truth)), predictions.truth
    found = minimize_scalar(
        lambda power: -np.log(Recalibration(np.exp(power)).apply(predictions.probabilities)[own]).mean(),
        bounds=(-3, 3),
        method="bounded",
    )
    return Recalibration(float(np.exp(found.x)))


def across_folds(predictions: Predictions, fit: Callable[[Predictions], Recalibration]) -> Predictions:
    """Each fold recalibrated by a fit to the others."""
    table, of = predictions.table, partial(Predictions, predictions.labels)
    parts = [
        fit(of(table[table["fold"] != fold])).of(of(table[table["fold"] == fold].reset_index(drop=True))).table
        for fold in sorted(table["fold"].unique())
    ]
    return of(pd.concat(parts, ignore_index=True))


def compared() -> dict[str, Predictions]:
    """The out-of-fold predictions of the diagnosis network in each way to calibrate them."""
    whole = read_predictions(FILE, HAM10000)
    known = Predictions(whole.labels, whole.table[whole.table["fold"] != TEST].reset_index(drop=True))
    biased = across_folds(known, fit_recalibration)
    return {
        "as predicted": known,
        "temperature": across_folds(known, fit_temperature),
        "temperature and a bias a class": biased,
        "the same, the most probable class predicted": Predictions(
            known.labels, biased.table.drop(columns="predicted")
        ),
    }


def calibration_section() -> list[str]:
    """The page's section."""
    rows = []
    for name, predictions in compared().items():
        table = evaluate_classification(predictions, resamples=500).set_index("metric")
        cells = {title: interval(table.loc[metric].to_dict()) for metric, title in METRICS.items()}
        rows.append({"": name, **cells})
    return [TEXT, markdown(pd.DataFrame(rows))]


def sets_section() -> list[str]:
    """Coverage and size of the bundle's prediction sets on the test subset."""
    config = read_config(BUNDLE)
    assert config.sets is not None
    fitted = PredictionSets(config.sets.coverage, config.sets.lowest, {})
    table = prediction_set_table(read_predictions(TESTED, HAM10000), fitted)
    rows = [
        {"": row["subgroup"], "images": row["images"], "lesions": row["groups"]}
        | {title: _interval(row, name) for name, title in SETS.items()}
        for row in table.to_dict("records")
    ]
    return [SETS_TEXT.format(coverage=100 * fitted.coverage), markdown(pd.DataFrame(rows))]


def _interval(row: Mapping[Any, Any], name: str) -> str:
    return interval({"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]})


TEXT = """### Calibration

The diagnosis network was trained with class weights, so that its probabilities hold for classes that are equally
frequent. Out of fold, each fold recalibrated by a fit to the other four, one temperature cannot mend that, a bias a
class can, and the predicted classes stay
([why](adr/0012-recalibration.md))."""

SETS_TEXT = """### Prediction sets

Sets of the bundle are fitted to hold the truth of {coverage:.0f} % in each class, every lesion weighing alike. On the
test subset they hold it as often as this."""
