"""Checklists of reporting, filled in as far as a run knows: TRIPOD+AI, CLAIM and CLEAR Derm."""

from selcn.report.checklists.write import CHECKLISTS, Checklist, read_checklist, write_checklist

__all__ = ["CHECKLISTS", "Checklist", "read_checklist", "write_checklist"]
