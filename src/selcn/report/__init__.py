"""A finished run's folder to one self-contained HTML page, and predictions to overlay pictures."""

from selcn.report.curves import draw_precision_recall, draw_reliability, draw_risk_coverage, draw_roc
from selcn.report.figures import Chart, draw_curves, draw_intervals, draw_jaccard_histogram
from selcn.report.page import write_report
from selcn.report.run import FinishedRun, open_run
from selcn.report.versus import write_versus

__all__ = [
    "Chart",
    "FinishedRun",
    "draw_curves",
    "draw_intervals",
    "draw_jaccard_histogram",
    "draw_precision_recall",
    "draw_reliability",
    "draw_risk_coverage",
    "draw_roc",
    "open_run",
    "write_report",
    "write_versus",
]
