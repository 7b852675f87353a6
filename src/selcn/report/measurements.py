"""Metrics of a finished run as they were written, read for its page."""

from dataclasses import dataclass

import pandas as pd

from selcn.evaluation import Estimate
from selcn.evaluation.intervals import Part
from selcn.evaluation.localisation import read_saliency_scores
from selcn.runs.folder import COMPARISON, CROSS_VALIDATION, SALIENCY_METRICS
from selcn.runs.run import Run

PARTS: tuple[Part, ...] = ("test", "validation")


@dataclass(frozen=True)
class Measurement:
    """A metric with its interval and what it was measured on."""

    estimate: Estimate
    images: int
    groups: int


Measurements = dict[str, dict[str, Measurement]]
"""By subset (`test`, `validation`), then by metric; a subset that was not measured is missing."""


def measurements(table: pd.DataFrame) -> Measurements:
    """Metrics of an evaluation table."""
    found: Measurements = {}
    for row in table.to_dict(orient="records"):
        estimate = Estimate(row["value"], row["low"], row["high"])
        found.setdefault(row["fold_part"], {})[row["metric"]] = Measurement(estimate, row["images"], row["groups"])
    return found


def measured(run: Run, network: str) -> Measurements:
    """The metrics of a network; none where it has no labelled image."""
    path = run.folder.metrics(network)
    return measurements(pd.read_csv(path)) if path.is_file() else {}


def foremost(found: Measurements) -> Part:
    """The test subset where there is one, else validation."""
    return next(part for part in PARTS if part in found)


def comparisons(run: Run) -> dict[tuple[str, str], Measurements]:
    """Differences B - A by the names of A and B; none where no networks are to be compared."""
    path = run.folder.evaluation / COMPARISON
    if not path.is_file():
        return {}
    pairs = pd.read_csv(path).groupby(["a", "b"], sort=False)
    return {(str(a), str(b)): measurements(rows) for (a, b), rows in pairs}


def fold_metrics(run: Run) -> pd.DataFrame:
    """Each fold's and member's metrics; empty where no classifier has a labelled image."""
    path = run.folder.evaluation / CROSS_VALIDATION
    return pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=["metric", "fold_part", "name"])


def saliency_scores(run: Run, network: str) -> pd.DataFrame | None:
    """Per-image scores of a classifier's saliency; None where no image had a true mask."""
    path = run.folder.saliency_scores(network)
    return read_saliency_scores(path) if path.is_file() else None


def saliency_metrics(run: Run) -> pd.DataFrame | None:
    """Means of those scores with intervals; see `selcn.evaluation.localisation.summarise_saliency`."""
    path = run.folder.evaluation / SALIENCY_METRICS
    return pd.read_csv(path) if path.is_file() else None
