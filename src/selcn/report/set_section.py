"""Coverage and size of the target's prediction sets on the test subset, for its run's report."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from selcn.errors import ConfigError, DataError
from selcn.evaluation import Estimate, Predictions, fit_recalibration, prediction_set_table
from selcn.inference.bundle import BundleConfig
from selcn.labels import CALIBRATION, TEST
from selcn.report.embed import Download, embed_csv
from selcn.runs.reliability import SET_COVERAGE
from selcn.runs.run import Run
from selcn.runs.subgroups import SUBGROUPS, known_columns


@dataclass(frozen=True)
class SetSection:
    """What the report shows of prediction sets.

    Attributes:
        coverage: that the sets are fitted to.
        without: why there are none; "" where there are.
        classes: rows of all images and of each class, with the columns of `prediction_set_table` and the estimates
            ``covered`` and ``size``.
        subgroups: rows of each subgroup.
        csv: all rows; None without any.
        calibrated: whether the bundle's own sets come from the calibration subset.
    """

    coverage: float
    without: str
    classes: list[dict[Any, Any]]
    subgroups: list[dict[Any, Any]]
    csv: Download | None
    calibrated: bool


def set_section(run: Run, bundle: BundleConfig, facts: pd.DataFrame) -> SetSection | None:
    """The section of the target at its bundle's coverage; None where it is no classifier, or has no labelled image.

    Args:
        run: that is evaluated.
        bundle: of the run.
        facts: of `run_facts`.
    """
    target = bundle.target
    if target not in run.graph.classifiers or not run.folder.prediction_file(target).is_file():
        return None
    coverage = bundle.sets.coverage if bundle.sets else SET_COVERAGE
    calibrated = len(run.split.rows(run.table, CALIBRATION)) > 0
    try:
        table = _measured(run.predictions(target), coverage, facts, run.config.resamples)
    except (ConfigError, DataError) as error:
        return SetSection(coverage, str(error), [], [], None, calibrated)
    rows = [
        row
        | {"covered": Estimate(*(row[f"coverage{end}"] for end in ("", "_low", "_high")))}
        | {"size": Estimate(*(row[f"set_size{end}"] for end in ("", "_low", "_high")))}
        for row in table.to_dict("records")
    ]
    classes = [row for row in rows if row["of"] in ("all", "class")]
    subgroups = [row | {"of": SUBGROUPS[row["of"]]} for row in rows[len(classes) :]]
    return SetSection(coverage, "", classes, subgroups, embed_csv(table, f"prediction-sets-{target}"), calibrated)


def _measured(predictions: Predictions, coverage: float, facts: pd.DataFrame, resamples: int) -> pd.DataFrame:
    rescaled = fit_recalibration(predictions).of(predictions)
    tested = predictions.table.loc[predictions.table["fold"] == TEST, "image_id"]
    columns = known_columns(facts) if set(tested).issubset(facts["image_id"]) else []
    return prediction_set_table(rescaled, coverage, facts, columns, resamples=resamples)
