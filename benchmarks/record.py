"""Runs benchmarks once, each in a process of its own, and keeps the figures for docs/results.md.

python benchmarks/record.py [NAME ...]    # all, or those named, whose rows are replaced
"""

import importlib
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

NAMES = ("saliency", "bootstrap", "phantom", "store", "audit", "epoch", "pruning", "full_size", "cascade")
OUT = Path(__file__).parent.parent / "docs" / "results" / "benchmarks.json"


def title(name: str) -> str:
    """What a benchmark's rows are called: the first line of its module's docstring."""
    return (importlib.import_module(name).__doc__ or name).splitlines()[0]


def measured(name: str) -> list[dict[str, str]]:
    """Rows of one benchmark."""
    figures: dict[str, float] = importlib.import_module(name).measure()
    return [{"benchmark": title(name), "figure": figure, "value": f"{value:.3g}"} for figure, value in figures.items()]


def main(names: list[str]) -> None:
    """Run them one after the other."""
    kept: list[dict[str, str]] = json.loads(OUT.read_text()) if names else []
    redone = names or list(NAMES)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, max_tasks_per_child=1) as pool:
        fresh = dict(zip(redone, pool.map(measured, redone), strict=True))
    rows = []
    for name in NAMES:
        rows += fresh.get(name, [row for row in kept if row["benchmark"] == title(name)])
    OUT.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{OUT}: {len(rows)} figures, {os.cpu_count()} cores")


if __name__ == "__main__":
    main(sys.argv[1:])
