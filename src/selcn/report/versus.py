"""Two finished runs side by side on one page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selcn.data.catalog import catalog_hash
from selcn.errors import DataError
from selcn.evaluation import Predictions, verdict
from selcn.evaluation.comparison import compare
from selcn.evaluation.intervals import Part
from selcn.io.files import write_text
from selcn.report.charts import draw_intervals
from selcn.report.classifier_charts import draw_risk_coverage
from selcn.report.embed import embed_chart
from selcn.report.finished import FinishedRun, measurements, open_run
from selcn.report.metric_tables import BALANCED_ACCURACY, FigureTable, foremost, tabulate
from selcn.report.page import Headline, headlines, render
from selcn.report.wording import duration
from selcn.runs.steps import changed_keys


@dataclass(frozen=True)
class Side:
    """One of the two runs.

    Attributes:
        name: A or B, with the folder's name.
        headlines: the figures its own page opens with.
        facts: what was run, by what that is called.
    """

    name: str
    headlines: dict[str, Headline]
    facts: dict[str, str]


def write_versus(a: Path, b: Path, out: Path, *, resamples: int = 2000) -> None:
    """Write the page of two runs; where both predicted the same images, their paired difference too.

    Raises:
        RunError: one is no run, or has not finished.
        DataError: a picture, mask or table of a run cannot be read.
    """
    runs = {f"A {a.resolve().name}": open_run(a), f"B {b.resolve().name}": open_run(b)}
    write_text(out, render("versus.html.j2", _context(runs, resamples)))


def _context(runs: dict[str, FinishedRun], resamples: int) -> dict[str, Any]:
    a, b = runs.values()
    measured = {f"{name}: {variant}": run.measured(variant) for name, run in runs.items() for variant in run.variants}
    symmetries = {
        f"{name}: {masking}": run.measured(f"symmetry-{masking}")
        for name, run in runs.items()
        for masking in run.config.cam_masks
    }
    deployed = {name: run.predictions(run.deployed.variant.name) for name, run in runs.items()}
    settings = [run.config.model_dump(mode="json") for run in runs.values()]
    return {
        "sides": [Side(name, headlines(run), _facts(run)) for name, run in runs.items()],
        "group_word": "groups",
        "synthetic": any((run.table["source"] == "phantom").any() for run in runs.values()),
        "paired": _paired(deployed, resamples),
        "changed": {
            key: [_value(one, key) for one in settings] for key in sorted(changed_keys(settings[0], settings[1]))
        },
        "interval_chart": embed_chart(draw_intervals(measured, BALANCED_ACCURACY), BALANCED_ACCURACY),
        "risk_chart": embed_chart(draw_risk_coverage(deployed), "risk-coverage"),
        "tables": [
            *tabulate("Lesion classifiers", measured),
            *tabulate("Symmetry networks", symmetries),
            *tabulate("Segmentation", {name: run.measured("segmentation") for name, run in runs.items()}),
        ],
        "same_data": catalog_hash(a.table) == catalog_hash(b.table),
        "same_split": a.split.fingerprint == b.split.fingerprint,
    }


def _facts(run: FinishedRun) -> dict[str, str]:
    seconds = sum(manifest["seconds"] for manifest in run.manifests().values())
    return {
        "images": f"{len(run.table)}",
        "data": run.config.data.source,
        "catalog": catalog_hash(run.table)[:12],
        "split": f"{run.split.protocol}, {run.split.fingerprint[:12]}",
        "classifier": run.deployed.variant.name,
        "work": duration(seconds),
        **run.environment,
    }


@dataclass(frozen=True)
class Paired:
    """The deployed classifiers' paired differences B - A, and what they show."""

    tables: list[FigureTable]
    verdict: str
    part: Part


def _paired(deployed: dict[str, Predictions], resamples: int) -> Paired | str:
    """The paired differences, or why there are none."""
    (name_a, a), (name_b, b) = deployed.items()
    try:
        table = compare(a, b, resamples=resamples)
    except DataError as error:
        return str(error)
    measured = measurements(table)
    part = foremost(measured)
    said = verdict(measured[part][BALANCED_ACCURACY].estimate, BALANCED_ACCURACY, name_a, name_b)
    return Paired(tabulate("B − A, paired", {"B − A": measured}, signed=True), said, part)


def _value(settings: Any, key: str) -> str:  # noqa: ANN401 - any JSON value
    """What a dotted key holds; nothing where the other run alone has it."""
    for name in key.split("."):
        settings = settings.get(name) if isinstance(settings, dict) else None
    return "" if settings is None else str(settings)
