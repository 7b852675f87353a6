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
from selcn.data.splits.split import count_table
from selcn.evaluation import Estimate
from selcn.evaluation.intervals import Part
from selcn.evaluation.segmentation import JACCARD_THRESHOLD
from selcn.inference.overlay import PREDICTED_COLOUR, TRUE_COLOUR
from selcn.io.files import write_text
from selcn.labels import SYMMETRIES, TEST, Diagnosis
from selcn.report.charts import draw_curves, draw_intervals, draw_jaccard_histogram
from selcn.report.embed import embed_chart, embed_csv
from selcn.report.evidence import (
    CALLED,
    curve_charts,
    leaks,
    saliency_energies,
    saliency_gallery,
    saliency_tables,
    subgroup_figures,
)
from selcn.report.finished import FinishedRun, Measurement, Measurements, open_run, stages
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
from selcn.report.metric_tables import (
    BALANCED_ACCURACY,
    foremost,
    judge_difference,
    tabulate,
    tabulate_confusion,
    tabulate_folds,
)
from selcn.report.wording import bounds, duration, number, spoken

HERE = Path(__file__).parent
_COUNTED = ("images", "groups")  # of a split, beside its classes


@dataclass(frozen=True)
class Headline:
    """One of the figures the page opens with."""

    title: str
    metric: str
    part: Part
    measurement: Measurement
    chance: float | None = None


def write_report(run: Path, out: Path) -> None:
    """Write the page of a finished run; it needs no network and no other file.

    Args:
        run: the run's folder.
        out: the page; it stands under its name when it is whole.

    Raises:
        RunError: no run, or a step of it has not finished; the line names it.
        DataError: a picture, mask or table of the run cannot be read.
    """
    write_text(out, render("run.html.j2", _context(open_run(run))))


def render(template: str, context: Mapping[str, Any]) -> str:
    """A page of one of the templates, with its style and its script, which is the only one that may run on it."""
    style, script = (HERE.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _environment().get_template(template).render(style=style, script=script, allowed=allowed, **context)


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
        "likeliest": _likeliest,
        "number": number,
        "spoken": spoken,
    }
    return environment


def _context(run: FinishedRun) -> dict[str, Any]:
    units = groups(run.table, run.split.duplicates)
    return {
        "name": run.folder.resolve().name,
        "config": run.config,
        "config_yaml": dump_config(run.config),
        "deployed": run.deployed,
        "images": len(run.table),
        "groups": units.nunique(),
        "group_word": _group_word(units),
        "synthetic": int((run.table["source"] == "phantom").sum()),
        "predicted_colour": PREDICTED_COLOUR,
        "true_colour": TRUE_COLOUR,
        "environment": run.environment,
        "split": run.split,
        "split_counts": _split_counts(run),
        "leaking": leaks(run).get(TEST, 0),
        "steps": run.manifests(),
        "leaks": leaks(run),
        "curves": {
            stage: embed_chart(draw_curves(stage, run.curves(stage)), f"curves-{stage.replace('/', '-')}")
            for stage in stages(run.config)
        },
        **_results(run),
        **_examples(run),
    }


def _results(run: FinishedRun) -> dict[str, Any]:
    variants = {name: run.measured(name) for name in run.variants}
    symmetries = {f"symmetry-{masking}": run.measured(f"symmetry-{masking}") for masking in run.config.cam_masks}
    segmentation, comparisons = run.measured("segmentation"), run.comparisons()
    deployed = run.deployed.variant.name
    subgroups = subgroup_figures(run)
    judged = {pair: judge_difference(*pair, measured) for pair, measured in comparisons.items()}
    return {
        "headlines": headlines(run),
        "deployed_comparison": next((comparison for (_, b), comparison in judged.items() if b == deployed), None),
        "other_comparisons": [comparison for (_, b), comparison in judged.items() if b != deployed],
        "interval_chart": embed_chart(draw_intervals(variants, BALANCED_ACCURACY), BALANCED_ACCURACY),
        "curve_charts": curve_charts(run),
        "subgroups": subgroups,
        "subgroup_rows": [
            row | {"estimate": Estimate(row["value"], row["low"], row["high"])} for row in subgroups.to_dict("records")
        ],
        "called": CALLED,
        "saliency_tables": saliency_tables(run),
        "variant_tables": tabulate("Lesion classifiers", variants),
        "difference_tables": tabulate(
            "Paired differences", {f"{b} − {a}": measured for (a, b), measured in comparisons.items()}, signed=True
        ),
        "fold_tables": tabulate_folds(run.folds()),
        "symmetry_tables": tabulate("Symmetry networks", symmetries),
        "segmentation_tables": tabulate("Segmentation", {"segmentation": segmentation}),
        "histogram": embed_chart(draw_jaccard_histogram(run.scores()), "jaccard"),
        "confusions": [tabulate_confusion(name, run.predictions(name)) for name in [*variants, *symmetries]],
    }


def headlines(run: FinishedRun) -> dict[str, Headline]:
    """One figure a stage, of the networks that are deployed."""
    deployed = run.deployed
    variant, symmetry = deployed.variant.name, f"symmetry-{deployed.cam_mask}"
    return {
        "classification": _headline(
            f"Lesion classification ({variant})",
            run.measured(variant),
            BALANCED_ACCURACY,
            len(deployed.diagnosis_labels),
        ),
        "segmentation": _headline("Segmentation", run.measured("segmentation"), "dice"),
        "symmetry": _headline(
            f"Symmetry ({symmetry})", run.measured(symmetry), BALANCED_ACCURACY, len(deployed.symmetry_labels)
        ),
    }


def _headline(title: str, measured: Measurements, metric: str, classes: int | None = None) -> Headline:
    part = foremost(measured)
    return Headline(title, metric, part, measured[part][metric], 1 / classes if classes else None)


def _examples(run: FinishedRun) -> dict[str, Any]:
    diagnoses = run.predictions(run.deployed.variant.name)
    symmetries, scores = run.predictions(f"symmetry-{run.deployed.cam_mask}").table, run.scores()
    cases, failures, best = choose_cases(diagnoses), choose_failures(scores), choose_extremes(scores, "jaccard")
    gallery = saliency_gallery(run)
    shown = [*cases, *failures, *best.get(BEST, []), *(name for names in gallery.values() for name in names)]
    tested = scores[scores["fold"] == TEST]
    return {
        "cases": cases,
        "rule": {"most": CASES, "certain": CERTAIN_CASES, "seed": SEED},
        "failures": failures,
        "failed": int((tested["jaccard"] < JACCARD_THRESHOLD).sum()),
        "tested": len(tested),
        "threshold": JACCARD_THRESHOLD,
        "best_masks": best.get(BEST, []),
        "saliency_gallery": gallery,
        "energy": saliency_energies(run),
        "views": view_images(run.predictor, run.table, shown),
        "true_diagnosis": _by_image(diagnoses.table, "truth"),
        "true_symmetry": _by_image(symmetries, "truth"),
        "jaccard": _by_image(scores, "jaccard"),
    }


def _split_counts(run: FinishedRun) -> pd.DataFrame:
    counts = count_table(run.split, run.table)
    return counts[[name for name in (*_COUNTED, *Diagnosis, *SYMMETRIES) if name in counts]]


def _by_image(table: pd.DataFrame, column: str) -> dict[str, Any]:
    return dict(zip(table["image_id"], table[column], strict=True))


def _group_word(units: Iterable[str]) -> str:
    """What the units that are never divided are; see `selcn.data.catalog.groups`."""
    kinds = {unit.partition(":")[0] for unit in units}
    return f"{kinds.pop()}s" if len(kinds) == 1 else "groups"


def _likeliest(probabilities: dict[str, float]) -> tuple[str, float]:
    return max(probabilities.items(), key=lambda item: item[1])
