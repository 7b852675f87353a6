"""The report of a finished run as one self-contained HTML page."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from selcn.config import dump_config
from selcn.data.catalog import groups
from selcn.data.splits.split import count_table, leaking_images
from selcn.errors import RunError
from selcn.evaluation import Estimate, worst_gap
from selcn.evaluation.segmentation import JACCARD_THRESHOLD
from selcn.inference.bundle import BundleConfig
from selcn.inference.overlay import PREDICTED_COLOUR, TRUE_COLOUR
from selcn.inference.predictor import Predictor, load
from selcn.io.files import write_text
from selcn.labels import TEST
from selcn.report.charts import draw_curves, draw_intervals, draw_jaccard_histogram, draw_terms
from selcn.report.classifier_charts import draw_precision_recall, draw_reliability, draw_risk_coverage, draw_roc
from selcn.report.embed import Picture, embed_chart, embed_csv
from selcn.report.further_section import further_section
from selcn.report.gallery import CASES, CONFIDENT_CASES, SEED, make_gallery
from selcn.report.measurements import (
    Measurements,
    border_metrics,
    comparisons,
    fold_metrics,
    network_metrics,
    primary_part,
)
from selcn.report.metric_tables import (
    BALANCED_ACCURACY,
    DICE,
    compare_measurements,
    headlines,
    tabulate,
    tabulate_borders,
    tabulate_by_labels,
    tabulate_confusion,
    tabulate_folds,
)
from selcn.report.ood_sections import ood_sections
from selcn.report.quality_section import quality_sections
from selcn.report.robustness_section import robustness_section
from selcn.report.saliency_tables import saliency_tables
from selcn.report.set_section import set_section
from selcn.report.wording import bounds, duration, group_word, label_title, number, spoken
from selcn.runs.facts import run_facts
from selcn.runs.plan import Kind
from selcn.runs.run import Run, open_run
from selcn.runs.subgroups import SUBGROUPS, run_subgroups
from selcn.runs.taken import SEEN, SEEN_IN_TEST

HERE = Path(__file__).parent


def write_report(path: Path, out: Path) -> None:
    """Write the report of a finished run; the page loads nothing from other hosts.

    Args:
        path: the run's folder.
        out: file to write, atomically.

    Raises:
        RunError: no run, or a step of it has not finished; the line names it.
        DataError: an image, mask or table of the run cannot be read.
    """
    write_text(out, render("run.html.j2", _context(open_run(path))))


def render(template: str, context: Mapping[str, Any]) -> str:
    """HTML of a template, with its style and its script, the only one that its content policy permits.

    Args:
        template: name of its file.
        context: values of the template's variables.
    """
    style, script = (HERE.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _environment().get_template(template).render(style=style, script=script, allowed=allowed, **context)


def open_predictor(run: Run) -> Predictor:
    """The run's bundle, ready to predict.

    Args:
        run: that has finished.

    Raises:
        RunError: the bundle is incomplete, or was trained on another split.
    """
    predictor = load(run.folder.bundle)
    if predictor.config.split != run.split.fingerprint:
        raise RunError(f"{run.folder.bundle}: was trained on another split; remove it and run again")
    return predictor


def gap_line(gap: pd.Series) -> str:
    """What lags farthest behind, for a headline.

    Args:
        gap: as `selcn.evaluation.worst_gap` gives it.
    """
    estimate = Estimate(gap["gap"], gap["gap_low"], gap["gap_high"])
    where = f"{SUBGROUPS[gap['of']]}: {gap['subgroup']}"
    return f"{number(estimate.value)} ({bounds(estimate)}), {where}, {gap['images']} images"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (bounds, duration, gap_line, label_title, number, spoken)
    environment.filters |= {"csv": embed_csv, **{one.__name__: one for one in filters}}
    return environment


def _context(run: Run) -> dict[str, Any]:
    steps, predictor, facts = run.manifests(), open_predictor(run), run_facts(run)
    bundle = predictor.config
    found = {name: metrics for name in run.graph.nodes if (metrics := network_metrics(run, name))}
    subgroups = {name: run_subgroups(run, name, facts) for name in bundle.networks if name in found}
    return {
        **_about(run, bundle),
        "steps": steps,
        "seen": _seen(run),
        **_metrics(run, bundle, found),
        **_of_target(run, bundle.target, found, subgroups.get(bundle.target)),
        "gaps": {name: worst_gap(table) for name, table in subgroups.items()},
        "further": further_section(run, bundle.target),
        "sets": set_section(run, bundle, facts),
        **_segmentation(run, found),
        "ood": ood_sections(run, predictor),
        "robustness": robustness_section(run),
        "saliency_tables": saliency_tables(run),
        "quality": quality_sections(run),
        "methods": sorted({spec.saliency for spec in bundle.classifiers.values()}),
        "gallery": make_gallery(run, predictor),
        "rule": {"most": CASES, "confident": CONFIDENT_CASES, "seed": SEED},
        "curves": {
            name: embed_chart(draw_curves(name, curves), f"curves-{name}")
            for name in run.graph.nodes
            if (curves := run.curves(name))
        },
        "terms": {
            name: embed_chart(drawn, f"terms-{name}")
            for name in run.graph.nodes
            if (curves := run.curves(name)) and (drawn := draw_terms(name, curves))
        },
    }


def _about(run: Run, bundle: BundleConfig) -> dict[str, Any]:
    """Configuration, data and leakage of the run."""
    units, leaks = groups(run.table, run.split.duplicates), leaking_images(run.split, run.table)
    word = group_word(units)
    return {
        "name": run.folder.path.resolve().name,
        "config": run.config,
        "config_yaml": dump_config(run.config),
        "graph": run.graph,
        "bundle": bundle,
        "images": len(run.table),
        "masks": int((run.table["mask_path"] != "").sum()),
        "groups": units.nunique(),
        "group_word": word,
        "sources": sorted(set(run.table["source"]) - {""}),
        "synthetic": int((run.table["source"] == "phantom").sum()),
        "predicted_colour": PREDICTED_COLOUR,
        "true_colour": TRUE_COLOUR,
        "environment": run.environment(),
        "split": run.split,
        "split_tables": _split_tables(run, word),
        "leaks": leaks,
        "leaking": sum(leaks.values()),
    }


def _seen(run: Run) -> dict[str, int]:
    """Images of folds and test subset that a taken network had been trained on, by network, where there are any."""
    manifests = {step: run.folder.manifest(step) for step in run.plan if step.kind is Kind.TRAIN}
    folds: dict[str, int] = {}
    for step, manifest in manifests.items():
        folds[str(step.network)] = folds.get(str(step.network), 0) + int(manifest.get(SEEN, 0))
    tested = {str(step.network): int(manifest.get(SEEN_IN_TEST, 0)) for step, manifest in manifests.items()}
    return {name: count + tested[name] for name, count in folds.items() if count + tested[name]}


def _metrics(run: Run, bundle: BundleConfig, found: Mapping[str, Measurements]) -> dict[str, Any]:
    """Metrics of all networks, and their comparisons."""
    classifiers = {name: found[name] for name in _target_first(run) if name in found}
    differences = comparisons(run)
    compared = [compare_measurements(*pair, metrics) for pair, metrics in differences.items()]
    main = next((one for one in compared if one.b == bundle.target), None)
    return {
        "headlines": headlines(run, bundle),
        "unmeasured": [name for name in bundle.networks if name not in found],
        "main_comparison": main,
        "other_comparisons": [one for one in compared if one is not main],
        "network_tables": tabulate_by_labels((name, run.labels(name), one) for name, one in classifiers.items()),
        "difference_tables": tabulate(
            "Paired differences", {f"{b} − {a}": metrics for (a, b), metrics in differences.items()}, signed=True
        ),
        "fold_tables": tabulate_folds(fold_metrics(run)),
        "confusions": [tabulate_confusion(name, run.predictions(name)) for name in classifiers],
    }


def _target_first(run: Run) -> list[str]:
    """The classifiers, those of the target's label set before the others."""
    sections = run.graph.classifiers
    target = sections.get(run.graph.target)
    return sorted(sections, key=lambda name: target is not None and sections[name].labels != target.labels)


def _of_target(
    run: Run, target: str, found: Mapping[str, Measurements], subgroups: pd.DataFrame | None
) -> dict[str, Any]:
    """Sections of the target only; empty where it is no classifier, or has no labelled image."""
    if subgroups is None or target not in run.graph.classifiers:
        return {"target_part": None, "interval_chart": None, "curve_charts": [], "subgroups": None, "subgroup_rows": []}
    labels = run.labels(target)
    alike = {name: found[name] for name in run.graph.classifiers if name in found and run.labels(name) == labels}
    return {
        "target_part": primary_part(found[target]),
        "interval_chart": embed_chart(draw_intervals(alike, BALANCED_ACCURACY), BALANCED_ACCURACY),
        "curve_charts": _curve_charts(run, target, found),
        "subgroups": subgroups,
        "subgroup_rows": [
            row
            | {"of": SUBGROUPS[row["of"]], "estimate": Estimate(row["value"], row["low"], row["high"])}
            | {"gap_estimate": Estimate(row["gap"], row["gap_low"], row["gap_high"])}
            for row in subgroups.to_dict("records")
        ],
    }


def _curve_charts(run: Run, target: str, found: Mapping[str, Measurements]) -> list[Picture]:
    """Charts of the target's probabilities, and selective prediction of it and of the networks compared with it."""
    predictions = run.predictions(target)
    rivals = [a for a, b in run.graph.pairs() if b == target and a in found]
    compared = {name: run.predictions(name) for name in [target, *rivals]}
    return [
        embed_chart(draw_roc(predictions), f"roc-{target}"),
        embed_chart(draw_precision_recall(predictions), f"precision-recall-{target}"),
        embed_chart(draw_reliability(predictions), f"reliability-{target}"),
        embed_chart(draw_risk_coverage(compared), f"risk-coverage-{target}"),
    ]


def _segmentation(run: Run, found: Mapping[str, Measurements]) -> dict[str, Any]:
    name, scores, borders = str(run.graph.segmenter), run.scores(), border_metrics(run)
    tested = pd.Series(dtype=float) if scores is None else scores.loc[scores["fold"] == TEST, "jaccard"]
    return {
        "segmentation_tables": tabulate("Segmentation", {name: found.get(name, {})}, first=DICE),
        "border_tables": [] if borders is None else tabulate_borders(name, borders),
        "histogram": None if scores is None else embed_chart(draw_jaccard_histogram(scores), "jaccard"),
        "tested": len(tested),
        "failed": int((tested < JACCARD_THRESHOLD).sum()),
        "threshold": JACCARD_THRESHOLD,
    }


def _split_tables(run: Run, group_word: str) -> list[tuple[str, pd.DataFrame]]:
    """Images and groups of each subset, and its images of each class, a table a label set."""
    counts = count_table(run.split, run.table)[["images", "groups"]].rename(columns={"groups": group_word})
    subset, tables = run.table["image_id"].map(run.split.part), [("images", counts)]
    for labels in dict.fromkeys(section.labels for section in run.graph.classifiers.values()):
        classes = run.table[labels.column].map(labels.class_of).replace("", "unlabelled")
        columns = [*labels.names, *({"unlabelled"} & set(classes))]
        counted = pd.crosstab(subset, classes).reindex(index=counts.index, columns=columns, fill_value=0)
        tables.append((label_title(labels), counted))
    return tables
