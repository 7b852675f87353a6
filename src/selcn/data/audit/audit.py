"""One pass over a catalog's files, and its findings."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from selcn.data.audit.findings import KINDS, Finding, Severity
from selcn.data.audit.inspection import Inspected, inspect_all
from selcn.data.audit.labels import duplicate_findings, label_findings, name_findings
from selcn.data.audit.leaks import Parts, leak_findings
from selcn.data.duplicates import Fingerprint, match


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        images: how many the catalog holds.
        findings: all of them, the gravest first.
    """

    images: int
    findings: list[Finding]

    @property
    def blocking(self) -> bool:
        """Whether any finding is an error."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)

    def summary(self) -> pd.DataFrame:
        """A row a kind that was found: ``kind, severity, findings, images, example, meaning``."""
        rows = []
        for kind, about in sorted(KINDS.items(), key=lambda item: list(Severity).index(item[1].severity)):
            found = [finding for finding in self.findings if finding.kind == kind]
            if found:
                images = {image for finding in found for image in finding.image_ids}
                example = f"{', '.join(found[0].image_ids[:2])} {found[0].detail}".strip()
                rows.append((kind, about.severity.value, len(found), len(images), example, about.meaning))
        columns = ["kind", "severity", "findings", "images", "example", "meaning"]
        return pd.DataFrame(rows, columns=columns)

    def to_json(self) -> str:
        """Every finding with its images."""
        findings = [
            {"kind": one.kind, "severity": one.severity, "image_ids": one.image_ids, "detail": one.detail}
            for one in self.findings
        ]
        return json.dumps({"images": self.images, "blocking": self.blocking, "findings": findings}, indent=1)


def audit(
    table: pd.DataFrame,
    splits: Mapping[str, Parts] | None = None,
    *,
    jobs: int | None = None,
    inspected: Iterable[Inspected] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Read every image and mask once and say what is wrong with files, masks, labels and splits.

    Args:
        table: a validated catalog.
        splits: parts by image of each split (`read_parts`), by the name of the split or of what it serves.
        jobs: threads, all cores by default.
        inspected: what `inspect` says of each row, where that is known; nothing is read then.
        on_progress: called with images read and images in all.
    """
    if inspected is None:
        inspected = inspect_all(table, jobs=jobs, on_progress=on_progress)
    findings, prints = _inspected(table, inspected)
    duplicates = match(list(prints), list(prints.values()))
    findings += name_findings(table) + label_findings(table) + duplicate_findings(table, duplicates)
    findings += leak_findings(table, duplicates, splits or {})
    order = list(KINDS)
    return Audit(
        len(table), sorted(findings, key=lambda one: (list(Severity).index(one.severity), order.index(one.kind)))
    )


def _inspected(table: pd.DataFrame, inspected: Iterable[Inspected]) -> tuple[list[Finding], dict[str, Fingerprint]]:
    findings: list[Finding] = []
    prints: dict[str, Fingerprint] = {}
    for image, one in zip(table["image_id"], inspected, strict=True):
        findings += [Finding(kind, (image,), detail) for kind, detail in one.faults]
        if one.print:
            prints[image] = one.print
    return findings, prints
