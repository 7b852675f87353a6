"""The report of a finished run, one self-contained HTML page; saliency drawn on images."""

from pathlib import Path

from selcn.report.charts import Chart, draw_curves, draw_intervals, draw_jaccard_histogram
from selcn.report.classifier_charts import draw_precision_recall, draw_reliability, draw_risk_coverage, draw_roc
from selcn.report.page import write_report
from selcn.report.seeds_page import write_seed_report
from selcn.report.versus import write_versus
from selcn.runs.folder import MANIFEST, RunFolder
from selcn.runs.plan import Kind, Step
from selcn.runs.run import open_run

__all__ = [
    "Chart",
    "draw_curves",
    "draw_intervals",
    "draw_jaccard_histogram",
    "draw_precision_recall",
    "draw_reliability",
    "draw_risk_coverage",
    "draw_roc",
    "open_run",
    "refresh_report",
    "write_report",
    "write_seed_report",
    "write_versus",
]


def refresh_report(path: Path, out: Path | None = None, *, anew: bool = False) -> Path:
    """Write the report of a finished run where it is missing or older than the run's evaluation.

    Args:
        path: the run's folder.
        out: file to write; None for `report.html` in the run's folder.
        anew: write it whatever its age.

    Returns:
        The file of the report.

    Raises:
        RunError: no run, or a step of it has not finished.
    """
    folder = RunFolder(path)
    page, evaluated = out or folder.report, folder.step(Step(Kind.EVALUATION)) / MANIFEST
    fresh = page.exists() and evaluated.exists() and page.stat().st_mtime >= evaluated.stat().st_mtime
    if anew or not fresh:
        write_report(path, page)
    return page
