"""A finished run's folder to one self-contained HTML page."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from selcn.config import dump_config
from selcn.data.catalog import groups
from selcn.data.splits import count_table, leaking_images
from selcn.evaluation.intervals import Part
from selcn.evaluation.predictions import TEST
from selcn.files import write_text
from selcn.labels import SYMMETRIES, Diagnosis
from selcn.report.figures import draw_curves, draw_intervals, draw_jaccard_histogram
from selcn.report.gallery import CASES, CERTAIN_CASES, SEED, choose_cases, choose_extremes, view_images
from selcn.report.overlay import PREDICTED_COLOUR, TRUE_COLOUR
from selcn.report.run import FinishedRun, Measurement, Measurements, open_run, stages
from selcn.report.tables import (
    BALANCED_ACCURACY,
    foremost,
    judge_difference,
    tabulate,
    tabulate_confusion,
    tabulate_folds,
)
from selcn.report.wording import bounds, duration, number, spoken

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
    """Write the page of a finished run; it needs no network, no script and no other file.

    Args:
        run: the run's folder.
        out: the page; it stands under its name when it is whole.

    Raises:
        RunError: no run, or a step of it has not finished; the line names it.
        DataError: a picture, mask or table of the run cannot be read.
    """
    html = _template().render(_context(open_run(run)))
    write_text(out, html)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bounds": bounds,
        "duration": duration,
        "likeliest": _likeliest,
        "number": number,
        "spoken": spoken,
    }
    return environment.get_template("template.html.j2")


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
        "leaking": leaking_images(run.split, run.table).get(TEST, 0),
        "steps": run.manifests(),
        "curves": {stage: draw_curves(stage, run.curves(stage)) for stage in stages(run.config)},
        **_results(run),
        **_examples(run),
    }


def _results(run: FinishedRun) -> dict[str, Any]:
    variants = {name: run.measured(name) for name in run.variants}
    symmetries = {f"symmetry-{masking}": run.measured(f"symmetry-{masking}") for masking in run.config.cam_masks}
    segmentation, comparisons = run.measured("segmentation"), run.comparisons()
    deployed, symmetry = run.deployed.variant.name, f"symmetry-{run.deployed.cam_mask}"
    judged = {pair: judge_difference(*pair, measured) for pair, measured in comparisons.items()}
    return {
        "headlines": {
            "classification": _headline(
                f"Lesion classification ({deployed})",
                variants[deployed],
                BALANCED_ACCURACY,
                len(run.deployed.diagnosis_labels),
            ),
            "segmentation": _headline("Segmentation", segmentation, "dice"),
            "symmetry": _headline(
                f"Symmetry ({symmetry})",
                symmetries[symmetry],
                BALANCED_ACCURACY,
                len(run.deployed.symmetry_labels),
            ),
        },
        "deployed_comparison": next((comparison for (_, b), comparison in judged.items() if b == deployed), None),
        "other_comparisons": [comparison for (_, b), comparison in judged.items() if b != deployed],
        "interval_chart": draw_intervals(variants, BALANCED_ACCURACY),
        "variant_tables": tabulate("Lesion classifiers", variants),
        "difference_tables": tabulate(
            "Paired differences", {f"{b} − {a}": measured for (a, b), measured in comparisons.items()}, signed=True
        ),
        "fold_tables": tabulate_folds(run.folds()),
        "symmetry_tables": tabulate("Symmetry networks", symmetries),
        "segmentation_tables": tabulate("Segmentation", {"segmentation": segmentation}),
        "histogram": draw_jaccard_histogram(run.scores()),
        "confusions": [tabulate_confusion(name, run.predictions(name)) for name in [*variants, *symmetries]],
    }


def _headline(title: str, measured: Measurements, metric: str, classes: int | None = None) -> Headline:
    part = foremost(measured)
    return Headline(title, metric, part, measured[part][metric], 1 / classes if classes else None)


def _examples(run: FinishedRun) -> dict[str, Any]:
    diagnoses = run.predictions(run.deployed.variant.name)
    symmetries, scores = run.predictions(f"symmetry-{run.deployed.cam_mask}").table, run.scores()
    cases, (worst, best) = choose_cases(diagnoses), choose_extremes(scores)
    return {
        "cases": cases,
        "rule": {"most": CASES, "certain": CERTAIN_CASES, "seed": SEED},
        "extremes": {"Worst": worst, "Best": best},
        "views": view_images(run.predictor, run.table, [*cases, *worst, *best]),
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
