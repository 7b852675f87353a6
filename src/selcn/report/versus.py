"""Two finished runs side by side on one page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selcn.data.catalog import catalog_hash
from selcn.errors import DataError
from selcn.evaluation import Predictions, verdict
from selcn.evaluation.comparison import compare
from selcn.evaluation.intervals import RESAMPLES, Part
from selcn.io.files import write_text
from selcn.report.charts import draw_intervals
from selcn.report.classifier_charts import draw_risk_coverage
from selcn.report.embed import Picture, embed_chart
from selcn.report.measurements import measurements, network_metrics, primary_part
from selcn.report.metric_tables import (
    BALANCED_ACCURACY,
    DICE,
    Headline,
    MetricTable,
    headlines,
    tabulate,
    tabulate_by_labels,
)
from selcn.report.page import open_predictor, render
from selcn.report.wording import duration
from selcn.runs.executor import changed_keys
from selcn.runs.run import Run, open_run


@dataclass(frozen=True)
class Side:
    """One of the two runs.

    Attributes:
        name: A or B, with the folder's name.
        headlines: the first metrics of its report.
        facts: configuration and data, by heading.
    """

    name: str
    headlines: list[Headline]
    facts: dict[str, str]


@dataclass(frozen=True)
class Paired:
    """The paired differences of the two runs' targets.

    Attributes:
        tables: of the differences B - A.
        verdict: the conclusion, in one sentence.
        part: the subset of the verdict, `test` or `validation`.
    """

    tables: list[MetricTable]
    verdict: str
    part: Part


def write_versus(a: Path, b: Path, out: Path, *, resamples: int = RESAMPLES) -> None:
    """Write a page that compares two runs, with paired differences where their targets predict the same images.

    Args:
        a: folder of a run.
        b: folder of another.
        out: file to write, atomically.
        resamples: of the bootstrap of paired differences.

    Raises:
        RunError: one is no run, or has not finished.
        DataError: a table of a run cannot be read.
    """
    runs = {f"A {a.resolve().name}": open_run(a), f"B {b.resolve().name}": open_run(b)}
    write_text(out, render("versus.html.j2", _context(runs, resamples)))


def _context(runs: Mapping[str, Run], resamples: int) -> dict[str, Any]:
    a, b = runs.values()
    settings = [run.config.model_dump(mode="json") for run in runs.values()]
    targets = {name: predictions for name, run in runs.items() if (predictions := _of_target(run))}
    return {
        "sides": [_side(name, run) for name, run in runs.items()],
        "group_word": "groups",
        "synthetic": any((run.table["source"] == "phantom").any() for run in runs.values()),
        "paired": _paired(targets, resamples),
        "changed": {
            key: [_value(one, key) for one in settings] for key in sorted(changed_keys(settings[0], settings[1]))
        },
        "charts": _charts(runs, targets),
        "tables": _tables(runs),
        "same_data": catalog_hash(a.table) == catalog_hash(b.table),
        "same_split": a.split.fingerprint == b.split.fingerprint,
    }


def _side(name: str, run: Run) -> Side:
    steps = run.manifests()
    bundle = open_predictor(run).config
    facts = {
        "images": f"{len(run.table)}",
        "data": run.config.data.source,
        "catalog": catalog_hash(run.table)[:12],
        "split": f"{run.split.protocol}, {run.split.fingerprint[:12]}",
        "target": bundle.target,
        "work": duration(sum(manifest["seconds"] for manifest in steps.values())),
        **run.environment(),
    }
    return Side(name, headlines(run, bundle), facts)


def _of_target(run: Run) -> Predictions | None:
    """Predictions of the target; None where it is no classifier, or no image has a label of it."""
    target = run.graph.target
    there = target in run.graph.classifiers and run.folder.prediction_file(target).is_file()
    return run.predictions(target) if there else None


def _paired(targets: Mapping[str, Predictions], resamples: int) -> Paired | str:
    """The paired differences, or why there are none."""
    if len(targets) < 2:
        return "the target of a run is no classifier, or no image has a label of it."
    (name_a, a), (name_b, b) = targets.items()
    try:
        table = compare(a, b, resamples=resamples)
    except DataError as error:
        return str(error)
    found = measurements(table)
    part = primary_part(found)
    said = verdict(found[part][BALANCED_ACCURACY].estimate, BALANCED_ACCURACY, name_a, name_b)
    return Paired(tabulate("B − A, paired", {"B − A": found}, signed=True), said, part)


def _charts(runs: Mapping[str, Run], targets: Mapping[str, Predictions]) -> list[Picture]:
    """Metrics of the classifiers with a target's label set, and selective prediction of the targets."""
    if not targets:
        return []
    labels = [predictions.labels for predictions in targets.values()]
    rows = {
        f"{name}: {network}": found
        for name, run in runs.items()
        for network in run.graph.classifiers
        if run.labels(network) in labels and (found := network_metrics(run, network))
    }
    return [
        embed_chart(draw_intervals(rows, BALANCED_ACCURACY), BALANCED_ACCURACY),
        embed_chart(draw_risk_coverage(targets), "risk-coverage"),
    ]


def _tables(runs: Mapping[str, Run]) -> list[MetricTable]:
    classifiers = [
        (f"{name}: {network}", run.labels(network), found)
        for name, run in runs.items()
        for network in run.graph.classifiers
        if (found := network_metrics(run, network))
    ]
    segmenters = {name: network_metrics(run, run.graph.segmenter) for name, run in runs.items() if run.graph.segmenter}
    return [*tabulate_by_labels(classifiers), *tabulate("Segmentation", segmenters, first=DICE)]


def _value(settings: Any, key: str) -> str:  # noqa: ANN401 - any JSON value
    """The value of a dotted key; empty where only the other run has it."""
    for name in key.split("."):
        settings = settings.get(name) if isinstance(settings, dict) else None
    if isinstance(settings, dict):
        return "in this run alone; its report has the whole configuration"
    return "" if settings is None else str(settings)
