"""A finished run's folder to one self-contained HTML page, and predictions to overlay pictures."""

from selcn.report.charts import Chart, draw_curves, draw_intervals, draw_jaccard_histogram
from selcn.report.classifier_charts import draw_precision_recall, draw_reliability, draw_risk_coverage, draw_roc
from selcn.report.finished import FinishedRun, open_run
from selcn.report.page import write_report
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
