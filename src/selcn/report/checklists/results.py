"""What a run has measured, in sentences and tables of Markdown, for checklists of reporting."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from selcn.evaluation import verdict
from selcn.evaluation.crossvalidation import FOLD
from selcn.evaluation.intervals import fold_parts
from selcn.evaluation.registry import metric_spec
from selcn.evaluation.subgroups import subgroup_table
from selcn.inference.bundle import read_metrics
from selcn.labels import TEST, Protocol
from selcn.report.checklists.data import subsets, table_lines, unit
from selcn.report.measurements import comparisons, fold_metrics, primary_part
from selcn.runs.card import metric_lines
from selcn.runs.run import Run
from selcn.runs.subgroups import run_subgroups, subgroup_lines
from selcn.runs.taken import SEEN, SEEN_IN_TEST

BALANCED_ACCURACY = "balanced_accuracy"


def _target_is_scored(run: Run) -> bool:
    target = run.graph.target
    return target in run.graph.classifiers and run.folder.prediction_file(target).is_file()


def _measures(run: Run) -> list[str]:
    rows = read_metrics(run.folder.bundle)
    named = ", ".join(dict.fromkeys(metric_spec(str(row["metric"])).label for row in rows))
    return [
        f"{named or 'None: no image is labelled'}. The report of the run shows ROC, precision-recall, reliability and "
        "risk-coverage curves."
    ]


def _uncertainty(run: Run) -> list[str]:
    return [
        f"95 % percentile intervals from {run.config.resamples:,} bootstrap resamples of whole {unit(run)} (Field & "
        "Welsh 2007). Networks are compared by the paired difference on the same resamples, a permutation test by "
        "group, and McNemar's exact test of the accuracy."
    ]


def _performance(run: Run) -> list[str]:
    rows = read_metrics(run.folder.bundle)
    said = [
        "*test* was held out from everything; *validation* is each fold by the member that did not train on it, "
        "slightly optimistic.",
        "",
    ]
    return [*said, *metric_lines(rows)] if rows else []


def _comparisons(run: Run) -> list[str]:
    lines = []
    for (a, b), found in comparisons(run).items():
        part = primary_part(found)
        if BALANCED_ACCURACY in found[part]:
            said = verdict(found[part][BALANCED_ACCURACY].estimate, BALANCED_ACCURACY, a, b)
            lines.append(f"{b} against {a} ({part}): {said}.")
    return lines


def _by_fold(run: Run) -> list[str]:
    table = fold_metrics(run)
    rows = table[(table["metric"] == BALANCED_ACCURACY) & (table["name"] == run.graph.target)]
    lines = []
    for row in rows.to_dict("records"):
        values = [f"{value:.3f}" for name, value in row.items() if str(name).startswith(FOLD) and not pd.isna(value)]
        of = "single members" if row["fold_part"] == TEST else "folds"
        lines.append(
            f"Balanced accuracy on {row['fold_part']} by {of}: {', '.join(values)}; mean {row['mean']:.3f}, standard "
            f"deviation {row['sd']:.3f}."
        )
    return lines


def _by_source(run: Run) -> list[str]:
    tested = next(reversed(subsets(run).values()))
    if not _target_is_scored(run) or tested["source"].nunique() < 2:
        return []
    table = subgroup_table(run.predictions(run.graph.target), run.table, ["source"], resamples=run.config.resamples)
    return subgroup_lines(table)


def _subgroups(run: Run) -> list[str]:
    return subgroup_lines(run_subgroups(run, run.graph.target)) if _target_is_scored(run) else []


def _failures(run: Run) -> list[str]:
    if not _target_is_scored(run):
        return []
    predictions = run.predictions(run.graph.target)
    part, rows = next(iter(fold_parts(predictions.table).items()))
    truth, predicted = (
        np.array(predictions.classes)[numbers[rows.index]] for numbers in (predictions.truth, predictions.predicted)
    )
    counts = pd.crosstab(truth, predicted).reindex(index=predictions.classes, columns=predictions.classes, fill_value=0)
    wrong = int((truth != predicted).sum())
    return [
        f"{wrong} of {len(rows)} images of {part} are predicted wrongly; the report of the run shows some of them. "
        "Truth in rows, prediction in columns:",
        "",
        *table_lines(counts, "truth"),
    ]


def _limits(run: Run) -> list[str]:
    lines = []
    if run.split.protocol is Protocol.THESIS:
        lines.append("The split is by image: photographs of one lesion lie in several subsets; metrics are optimistic.")
    if run.split.protocol is not Protocol.EXTERNAL:
        lines.append("No external data: how it does with other cameras, people and clinics was not measured.")
    if not len(run.test_rows):
        lines.append("No test subset: all metrics are of validation, and slightly optimistic.")
    if (run.table["source"] == "phantom").any():
        lines.append("Images are synthetic, and metrics of them say nothing of patients.")
    seen = [
        m for step, m in run.manifests().items() if step.startswith("networks") and (m.get(SEEN) or m.get(SEEN_IN_TEST))
    ]
    if seen:
        lines.append("A network that was taken from a bundle had been trained on some of these images.")
    return [
        *lines,
        "Intervals count the lesions that were sampled, not that other trainings would have given other networks.",
    ]


RESULT_FACTS: Mapping[str, Callable[[Run], list[str]]] = {
    "measures": _measures,
    "uncertainty": _uncertainty,
    "performance": _performance,
    "comparisons": _comparisons,
    "by_fold": _by_fold,
    "by_source": _by_source,
    "subgroups": _subgroups,
    "failures": _failures,
    "limits": _limits,
}
"""What was measured, by the name that items of checklists call it; no line where the run did not measure it."""
