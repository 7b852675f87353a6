"""A finished run's folder to one self-contained HTML page."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from selcn.config import dump_config
from selcn.data.catalog import groups
from selcn.data.splits.split import count_table, leaking_images
from selcn.errors import RunError
from selcn.evaluation import Estimate
from selcn.evaluation.intervals import Part
from selcn.evaluation.segmentation import JACCARD_THRESHOLD
from selcn.inference.bundle import BundleConfig
from selcn.inference.overlay import PREDICTED_COLOUR, TRUE_COLOUR
from selcn.inference.predictor import Predictor, load
from selcn.io.files import write_text
from selcn.labels import TEST
from selcn.report.charts import draw_curves, draw_intervals, draw_jaccard_histogram
from selcn.report.embed import embed_chart, embed_csv
from selcn.report.evidence import CALLED, curve_charts, saliency_gallery, saliency_tables, subgroup_metrics
from selcn.report.gallery import (
    BEST,
    CASES,
    CERTAIN_CASES,
    SEED,
    choose_cases,
    choose_extremes,
    choose_failures,
    view_images,
)
from selcn.report.measurements import Measurement, Measurements, comparisons, fold_metrics, foremost, measured
from selcn.report.metric_tables import (
    BALANCED_ACCURACY,
    judge_difference,
    tabulate,
    tabulate_confusion,
    tabulate_folds,
)
from selcn.report.wording import bounds, duration, number, spoken
from selcn.runs.run import Run, open_run

HERE = Path(__file__).parent
_COUNTED = ("images", "groups")  # of a split, beside its classes


@dataclass(frozen=True)
class Headline:
    """One of the metrics the page opens with."""

    title: str
    metric: str
    part: Part
    measurement: Measurement
    chance: float | None = None


def write_report(path: Path, out: Path) -> None:
    """Write the page of a finished run; it needs no network and no other file.

    Args:
        path: the run's folder.
        out: the page; it stands under its name when it is whole.

    Raises:
        RunError: no run, or a step of it has not finished; the line names it.
        DataError: an image, mask or table of the run cannot be read.
    """
    write_text(out, render("run.html.j2", _context(open_run(path))))


def render(template: str, context: Mapping[str, Any]) -> str:
    """A page of one of the templates, with its style and its script, which is the only one that may run on it.

    Args:
        template: name of its file.
        context: what it shows.
    """
    style, script = (HERE.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _environment().get_template(template).render(style=style, script=script, allowed=allowed, **context)


def open_predictor(run: Run) -> Predictor:
    """The run's bundle.

    Raises:
        RunError: it is not whole, or was trained on another split.
    """
    predictor = load(run.folder.bundle)
    if predictor.config.split != run.split.fingerprint:
        raise RunError(f"{run.folder.bundle}: was trained on another split; remove it and run again")
    return predictor


def headlines(run: Run, bundle: BundleConfig) -> list[Headline]:
    """A metric of each network that the bundle holds, its target first."""
    names = [bundle.target, *(name for name in bundle.networks if name != bundle.target)]
    return [_headline(run, name, found) for name in names if (found := measured(run, name))]


def _headline(run: Run, name: str, found: Measurements) -> Headline:
    part = foremost(found)
    if name == run.graph.segmenter:
        return Headline(f"Segmentation ({name})", "dice", part, found[part]["dice"])
    classes = len(run.labels(name).names)
    return Headline(
        f"{name.capitalize()} ({run.labels(name).name})",
        BALANCED_ACCURACY,
        part,
        found[part][BALANCED_ACCURACY],
        1 / classes,
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bounds": bounds,
        "csv": embed_csv,
        "duration": duration,
        "number": number,
        "spoken": spoken,
    }
    return environment


def _context(run: Run) -> dict[str, Any]:
    steps, predictor = run.manifests(), open_predictor(run)
    units, leaks = groups(run.table, run.split.duplicates), leaking_images(run.split, run.table)
    return {
        "name": run.folder.path.resolve().name,
        "config": run.config,
        "config_yaml": dump_config(run.config),
        "bundle": predictor.config,
        "images": len(run.table),
        "groups": units.nunique(),
        "group_word": _group_word(units),
        "synthetic": int((run.table["source"] == "phantom").sum()),
        "predicted_colour": PREDICTED_COLOUR,
        "true_colour": TRUE_COLOUR,
        "environment": run.environment(),
        "split": run.split,
        "split_counts": _split_counts(run),
        "leaking": leaks.get(TEST, 0),
        "steps": steps,
        "leaks": leaks,
        "curves": {
            name: embed_chart(draw_curves(name, run.curves(name)), f"curves-{name}") for name in run.graph.nodes
        },
        **_results(run, predictor.config),
        **_examples(run, predictor),
    }


def _results(run: Run, bundle: BundleConfig) -> dict[str, Any]:
    target, differences = bundle.target, comparisons(run)
    all_measured = {name: found for name in run.graph.classifiers if (found := measured(run, name))}
    of_target = target if target in all_measured else None
    subgroups = subgroup_metrics(run, of_target) if of_target else pd.DataFrame()
    judged = [judge_difference(*pair, found) for pair, found in differences.items()]
    opening = headlines(run, bundle)
    scores = run.scores() if run.graph.segmenter else None
    segmentation = measured(run, run.graph.segmenter) if run.graph.segmenter else {}
    same_labels = [name for name in all_measured if of_target and run.labels(name) == run.labels(of_target)]
    return {
        "headlines": opening,
        "target": of_target,
        "target_part": foremost(all_measured[of_target]) if of_target else "",
        "main_comparison": next((one for one in judged if one.b == target), None),
        "other_comparisons": [one for one in judged if one.b != target],
        "interval_chart": embed_chart(
            draw_intervals({name: all_measured[name] for name in same_labels}, BALANCED_ACCURACY), BALANCED_ACCURACY
        )
        if same_labels
        else None,
        "curve_charts": curve_charts(run, of_target) if of_target else [],
        "malignant": run.labels(of_target).malignant if of_target else [],
        "subgroups": subgroups,
        "subgroup_rows": [
            row | {"estimate": Estimate(row["value"], row["low"], row["high"])} for row in subgroups.to_dict("records")
        ],
        "called": CALLED,
        "saliency_tables": saliency_tables(run),
        "network_tables": _network_tables(run, all_measured),
        "difference_tables": tabulate(
            "Paired differences", {f"{b} − {a}": found for (a, b), found in differences.items()}, signed=True
        ),
        "fold_tables": tabulate_folds(fold_metrics(run)),
        "segmentation_tables": tabulate("Segmentation", {str(run.graph.segmenter): segmentation}),
        "histogram": None if scores is None else embed_chart(draw_jaccard_histogram(scores), "jaccard"),
        "confusions": [tabulate_confusion(name, run.predictions(name)) for name in all_measured],
    }


def _network_tables(run: Run, all_measured: Mapping[str, Measurements]) -> list[Any]:
    """Tables of the classifiers, those of one label set together."""
    by_labels: dict[str, dict[str, Measurements]] = {}
    for name, found in all_measured.items():
        labels = run.labels(name)
        by_labels.setdefault(f"{labels.column.capitalize()} ({labels.name})", {})[name] = found
    return [table for title, found in by_labels.items() for table in tabulate(title, found)]


def _examples(run: Run, predictor: Predictor) -> dict[str, Any]:
    bundle, scores = predictor.config, run.scores() if run.graph.segmenter else None
    truths = {name: run.predictions(name) for name in bundle.classifiers if run.folder.prediction_file(name).is_file()}
    cases = choose_cases(truths[bundle.target]) if bundle.target in truths else {}
    failures = [] if scores is None else choose_failures(scores)
    best = [] if scores is None else choose_extremes(scores, "jaccard").get(BEST, [])
    explained = next(iter(bundle.classifiers), None)
    gallery, energy = saliency_gallery(run, explained) if explained else ({}, {})
    shown = [*cases, *failures, *best, *(image for images in gallery.values() for image in images)]
    tested = [] if scores is None else list(scores.loc[scores["fold"] == TEST, "jaccard"])
    return {
        "cases": cases,
        "rule": {"most": CASES, "certain": CERTAIN_CASES, "seed": SEED},
        "failures": failures,
        "failed": sum(value < JACCARD_THRESHOLD for value in tested),
        "tested": len(tested),
        "threshold": JACCARD_THRESHOLD,
        "best_masks": best,
        "saliency_gallery": gallery,
        "explained": explained,
        "energy": energy,
        "views": view_images(predictor, run.table, shown),
        "truths": {name: _by_image(one.table, "truth") for name, one in truths.items()},
        "jaccard": {} if scores is None else _by_image(scores, "jaccard"),
    }


def _split_counts(run: Run) -> pd.DataFrame:
    counts = count_table(run.split, run.table)
    words = dict.fromkeys(word for section in run.graph.classifiers.values() for word in _words(run, section.labels))
    return counts[[name for name in (*_COUNTED, *words) if name in counts]]


def _words(run: Run, labels: Any) -> list[str]:  # noqa: ANN401 - a label set
    """Words of the catalog that mean a class of a label set, in the classes' order."""
    words = [word for word in run.table[labels.column].unique() if labels.class_of(word)]
    return sorted(words, key=lambda word: (labels.numbers([word]), word))


def _by_image(table: pd.DataFrame, column: str) -> dict[str, Any]:
    return dict(zip(table["image_id"], table[column], strict=True))


def _group_word(units: Iterable[str]) -> str:
    """What the units that are never divided are; see `selcn.data.catalog.groups`."""
    kinds = {unit.partition(":")[0] for unit in units}
    return f"{kinds.pop()}s" if len(kinds) == 1 else "groups"
