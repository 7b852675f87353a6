"""Runs benchmarks once, each in a process of its own, and keeps their results for docs/benchmarks.md.

python benchmarks/record.py [NAME ...]    # all, or those named, whose rows are replaced
python benchmarks/record.py duplicates=IMAGES agreement=PICTURES,BUNDLE,... start=BUNDLE,PICTURES hostile=...
"""

import importlib
import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

NAMES = (
    "saliency",
    "transformer_saliency",
    "losses",
    "probe",
    "bootstrap",
    "phantom",
    "store",
    "preparing",
    "decoding",
    "audit",
    "epoch",
    "pruning",
    "full_size",
    "cascade",
)
ON_FILES = ("duplicates", "size", "many", "start", "agreement", "hostile", "plain_server", "clients", "int8")
OUT = Path(__file__).parent.parent / "docs" / "results" / "benchmarks.json"


def title(name: str) -> str:
    """What a benchmark's rows are called: the first line of its module's docstring."""
    return (importlib.import_module(name).__doc__ or name).splitlines()[0]


def measured(asked: str) -> list[dict[str, str]]:
    """Rows of one benchmark, given as its name or `name=path,path`, with the machine that it ran on and the day."""
    from selcn.training.compute import processor

    name, _, paths = asked.partition("=")
    measure = importlib.import_module(name).measure
    results: dict[str, float] = measure(*(Path(path) for path in paths.split(",") if path))
    where = {"processor": processor(), "date": datetime.now(UTC).date().isoformat()}
    return [
        {
            "benchmark": title(name),
            "figure": figure,
            "value": f"{value:d}" if isinstance(value, int) else f"{value:.3g}",
            **where,
        }
        for figure, value in results.items()
    ]


def main(asked: Sequence[str]) -> None:
    """Run them one after the other."""
    kept: list[dict[str, str]] = json.loads(OUT.read_text())
    asked = asked or list(NAMES)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, max_tasks_per_child=1) as pool:
        fresh = {one.partition("=")[0]: rows for one, rows in zip(asked, pool.map(measured, asked), strict=True)}
    rows = []
    for name in NAMES + ON_FILES:
        rows += fresh.get(name, [row for row in kept if row["benchmark"] == title(name)])
    OUT.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{OUT}: {len(rows)} results, {os.cpu_count()} cores")


if __name__ == "__main__":
    main(sys.argv[1:])
