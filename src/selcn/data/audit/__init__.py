"""What is wrong with a catalog's files, masks and labels, and what leaks in a split of it."""

from selcn.data.audit.audit import Audit, audit
from selcn.data.audit.findings import KINDS, Finding, Severity
from selcn.data.audit.fix import fix
from selcn.data.audit.leaks import read_parts

__all__ = ["KINDS", "Audit", "Finding", "Severity", "audit", "fix", "read_parts"]
