"""Coverage and size of the target's prediction sets on the test subset, for its run's report."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from selcn.errors import ConfigError, DataError
from selcn.evaluation import Estimate, Predictions, Recalibration, fit_recalibration, prediction_set_table
from selcn.inference.bundle import BundleConfig
from selcn.labels import TEST
from selcn.report.embed import Download, embed_csv
from selcn.runs.reliability import SET_COVERAGE
from selcn.runs.run import Run
from selcn.runs.subgroups import SUBGROUPS, known_columns

SHOWN = {"by_lesion": "coverage_by_lesion", "by_image": "coverage", "size": "set_size"}


@dataclass(frozen=True)
class SetSection:
    """What the report shows of prediction sets.

    Attributes:
        coverage: that the sets are fitted to.
        without: why there are none; "" where there are.
        classes: rows of all images and of each class, with the columns of `prediction_set_table` and the estimates
            ``by_lesion``, ``by_image`` and ``size``.
        subgroups: rows of each subgroup.
        csv: all rows; None without any.
    """

    coverage: float
    without: str
    classes: list[dict[Any, Any]]
    subgroups: list[dict[Any, Any]]
    csv: Download | None


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
    try:
        predictions = _calibrated(run.predictions(target), bundle)
        table = _measured(predictions, coverage, facts, run.config.resamples)
    except (ConfigError, DataError) as error:
        return SetSection(coverage, str(error), [], [], None)
    ends = ("", "_low", "_high")
    rows = [
        row | {name: Estimate(*(row[f"{column}{end}"] for end in ends)) for name, column in SHOWN.items()}
        for row in table.to_dict("records")
    ]
    classes = [row for row in rows if row["of"] in ("all", "class")]
    subgroups = [row | {"of": SUBGROUPS[row["of"]]} for row in rows[len(classes) :]]
    return SetSection(coverage, "", classes, subgroups, embed_csv(table, f"prediction-sets-{target}"))


def _calibrated(predictions: Predictions, bundle: BundleConfig) -> Predictions:
    """At the bundle's calibration, as its own sets are fitted."""
    measured = bundle.reliability.networks.get(bundle.target) if bundle.reliability else None
    own = Recalibration(measured.temperature, measured.bias) if measured else fit_recalibration(predictions)
    return own.of(predictions)


def _measured(predictions: Predictions, coverage: float, facts: pd.DataFrame, resamples: int) -> pd.DataFrame:
    tested = predictions.table.loc[predictions.table["fold"] == TEST, "image_id"]
    columns = known_columns(facts) if set(tested).issubset(facts["image_id"]) else []
    return prediction_set_table(predictions, coverage, facts, columns, resamples=resamples)
