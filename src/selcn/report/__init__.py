"""A finished run's folder to one self-contained HTML page, and predictions to overlay pictures."""

from selcn.report.page import write_report

__all__ = ["write_report"]
