"""Runs every benchmark once, in a process of its own, and keeps the figures for docs/results.md.

python benchmarks/record.py
"""

import importlib
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

NAMES = ("saliency", "bootstrap", "phantom", "store", "audit", "epoch", "pruning", "full_size", "cascade")
OUT = Path(__file__).parent.parent / "docs" / "results" / "benchmarks.json"


def measured(name: str) -> list[dict[str, str]]:
    """Rows of one benchmark."""
    module = importlib.import_module(name)
    what = (module.__doc__ or name).splitlines()[0]
    figures: dict[str, float] = module.measure()
    return [{"benchmark": what, "figure": figure, "value": f"{value:.3g}"} for figure, value in figures.items()]


def main() -> None:
    """Run them one after the other."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, max_tasks_per_child=1) as pool:
        rows = [row for rows in pool.map(measured, NAMES) for row in rows]
    OUT.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{OUT}: {len(rows)} figures, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
