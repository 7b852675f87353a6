"""Two finished runs side by side on one page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selcn.data.catalog import catalog_hash
from selcn.errors import DataError
from selcn.evaluation import Predictions, verdict
from selcn.evaluation.comparison import compare
from selcn.evaluation.intervals import Part
from selcn.inference.bundle import BundleConfig
from selcn.io.files import write_text
from selcn.labels import LabelSet
from selcn.report.charts import draw_intervals
from selcn.report.classifier_charts import draw_risk_coverage
from selcn.report.embed import Picture, embed_chart
from selcn.report.measurements import Measurements, foremost, measured, measurements
from selcn.report.metric_tables import BALANCED_ACCURACY, MetricTable, tabulate
from selcn.report.page import Headline, headlines, open_predictor, render
from selcn.report.wording import duration
from selcn.runs.executor import changed_keys
from selcn.runs.run import Run, open_run


@dataclass(frozen=True)
class Side:
    """One of the two runs.

    Attributes:
        name: A or B, with the folder's name.
        headlines: the metrics its own page opens with.
        facts: what was run, by what that is called.
    """

    name: str
    headlines: list[Headline]
    facts: dict[str, str]


def write_versus(a: Path, b: Path, out: Path, *, resamples: int = 2000) -> None:
    """Write the page of two runs; where both predicted the same images, their paired difference too.

    Raises:
        RunError: one is no run, or has not finished.
        DataError: a picture, mask or table of a run cannot be read.
    """
    runs = {f"A {a.resolve().name}": open_run(a), f"B {b.resolve().name}": open_run(b)}
    write_text(out, render("versus.html.j2", _context(runs, resamples)))


def _context(runs: dict[str, Run], resamples: int) -> dict[str, Any]:
    a, b = runs.values()
    bundles = {name: open_predictor(run).config for name, run in runs.items()}
    every = {
        f"{name}: {network}": (run.labels(network), found)
        for name, run in runs.items()
        for network in run.graph.classifiers
        if (found := measured(run, network))
    }
    targets = {
        name: run.predictions(bundles[name].target)
        for name, run in runs.items()
        if run.folder.prediction_file(bundles[name].target).is_file() and bundles[name].target in run.graph.classifiers
    }
    settings = [run.config.model_dump(mode="json") for run in runs.values()]
    segmentation = {name: measured(run, run.graph.segmenter) for name, run in runs.items() if run.graph.segmenter}
    return {
        "sides": [Side(name, headlines(run, bundles[name]), _facts(run, bundles[name])) for name, run in runs.items()],
        "group_word": "groups",
        "synthetic": any((run.table["source"] == "phantom").any() for run in runs.values()),
        "paired": _paired(targets, resamples),
        "changed": {
            key: [_value(one, key) for one in settings] for key in sorted(changed_keys(settings[0], settings[1]))
        },
        "charts": _charts({name: found for name, (_, found) in every.items()}, targets),
        "tables": [*_tables(every), *tabulate("Segmentation", segmentation)],
        "same_data": catalog_hash(a.table) == catalog_hash(b.table),
        "same_split": a.split.fingerprint == b.split.fingerprint,
    }


def _charts(every: dict[str, Measurements], targets: dict[str, Predictions]) -> list[Picture]:
    drawn = [embed_chart(draw_intervals(every, BALANCED_ACCURACY), BALANCED_ACCURACY)] if every else []
    return drawn + ([embed_chart(draw_risk_coverage(targets), "risk-coverage")] if targets else [])


def _tables(every: dict[str, tuple[LabelSet, Measurements]]) -> list[MetricTable]:
    """Tables of the classifiers of both runs, those of one label set together."""
    by_labels: dict[str, dict[str, Measurements]] = {}
    for name, (labels, found) in every.items():
        by_labels.setdefault(f"{labels.column.capitalize()} ({labels.name})", {})[name] = found
    return [table for title, found in by_labels.items() for table in tabulate(title, found)]


def _facts(run: Run, bundle: BundleConfig) -> dict[str, str]:
    seconds = sum(manifest["seconds"] for manifest in run.manifests().values())
    return {
        "images": f"{len(run.table)}",
        "data": run.config.data.source,
        "catalog": catalog_hash(run.table)[:12],
        "split": f"{run.split.protocol}, {run.split.fingerprint[:12]}",
        "target": bundle.target,
        "work": duration(seconds),
        **run.environment(),
    }


@dataclass(frozen=True)
class Paired:
    """The targets' paired differences B - A, and what they show."""

    tables: list[MetricTable]
    verdict: str
    part: Part


def _paired(targets: dict[str, Predictions], resamples: int) -> Paired | str:
    """The paired differences, or why there are none."""
    if len(targets) < 2:
        return "one of the runs has no classifier with labelled images as its target"
    (name_a, a), (name_b, b) = targets.items()
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
