"""Metrics of a finished run, read from its evaluation for the report."""

from dataclasses import dataclass

import pandas as pd

from selcn.evaluation import Estimate
from selcn.evaluation.intervals import Part
from selcn.evaluation.localisation import read_saliency_scores
from selcn.runs.folder import COMPARISON, CROSS_VALIDATION, SALIENCY_METRICS, SURFACE_METRICS
from selcn.runs.run import Run

PARTS: tuple[Part, ...] = ("test", "validation")
"""Subsets that are measured, the more telling one first."""


@dataclass(frozen=True)
class Measurement:
    """A metric with its interval and sample size.

    Attributes:
        estimate: value and 95 % interval.
        images: number of images.
        groups: number of lesions or patients.
    """

    estimate: Estimate
    images: int
    groups: int


Measurements = dict[str, dict[str, Measurement]]
"""By subset (`test`, `validation`), then by metric; a subset that was not measured is missing."""


def measurements(table: pd.DataFrame) -> Measurements:
    """The metrics of an evaluation table.

    Args:
        table: with columns ``metric, fold_part, value, low, high, images, groups``.
    """
    found: Measurements = {}
    for row in table.to_dict(orient="records"):
        estimate = Estimate(row["value"], row["low"], row["high"])
        found.setdefault(row["fold_part"], {})[row["metric"]] = Measurement(estimate, row["images"], row["groups"])
    return found


def network_metrics(run: Run, network: str) -> Measurements:
    """The metrics of a network; empty where none of its images is labelled.

    Args:
        run: that is evaluated.
        network: its name.
    """
    path = run.folder.metrics(network)
    return measurements(pd.read_csv(path)) if path.is_file() else {}


def primary_part(found: Measurements) -> Part:
    """The test subset where it was measured, else validation.

    Args:
        found: metrics of at least one subset.
    """
    return next(part for part in PARTS if part in found)


def comparisons(run: Run) -> dict[tuple[str, str], Measurements]:
    """Paired differences B - A by the names of A and B; empty where there is no pair.

    Args:
        run: that is evaluated.
    """
    path = run.folder.evaluation / COMPARISON
    if not path.is_file():
        return {}
    pairs = pd.read_csv(path).groupby(["a", "b"], sort=False)
    return {(str(a), str(b)): measurements(rows) for (a, b), rows in pairs}


def fold_metrics(run: Run) -> pd.DataFrame:
    """Each fold's and each member's metrics; empty where no classifier has a labelled image.

    Args:
        run: that is evaluated.
    """
    path = run.folder.evaluation / CROSS_VALIDATION
    return pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=["metric", "fold_part", "name"])


def saliency_scores(run: Run, network: str) -> pd.DataFrame | None:
    """Scores of a classifier's saliency, a row an image and kind; None where no image has a ground-truth mask.

    Args:
        run: that is evaluated.
        network: name of the classifier.
    """
    path = run.folder.saliency_scores(network)
    return read_saliency_scores(path) if path.is_file() else None


def saliency_metrics(run: Run) -> pd.DataFrame | None:
    """Means of those scores with intervals, as `selcn.evaluation.summarise_saliency` gives them; None without scores.

    Args:
        run: that is evaluated.
    """
    path = run.folder.evaluation / SALIENCY_METRICS
    return pd.read_csv(path) if path.is_file() else None


def border_metrics(run: Run) -> pd.DataFrame | None:
    """Scores of the borders of masks, as `selcn.runs.metrics.border_table` gives them.

    None where no image has a ground-truth mask, or of a run that was evaluated by an earlier selcn.

    Args:
        run: that is evaluated.
    """
    path = run.folder.evaluation / SURFACE_METRICS
    found = pd.read_csv(path) if path.is_file() else pd.DataFrame()
    return None if found.empty else found
