"""Seconds and peak memory of each command at 1, 2, 4 and 8 times the images.

python benchmarks/size.py BUNDLE [IMAGES]

On the phantom at 160x120; each command in a process of its own, its peak that of the process or the largest of its
children. Start-up is in the times: what twice the images add is told by the last of them. `report` is of a run with
one small network, trained for an epoch on the same images; the run itself is not measured.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bootstrap import simulated_predictions
from selcn.evaluation.predictions import write_predictions

SELCN = str(Path(sys.executable).with_name("selcn"))
IMAGES, FACTORS = 500, (1, 2, 4, 8)
RUN = """
data: {source: catalog, path: p/catalog.csv}
split: {folds: 2, test: 0.2}
prepare: {size: [64, 48], hair: false}
networks:
  diagnosis: {task: classification, labels: ham10000, backbone: resnet10t, size: [32, 32], epochs: 1, batch: 32}
"""


def run(words: list[str], folder: Path) -> tuple[float, float]:
    """Seconds and peak MiB of a command; an audit that finds something ends with 1."""
    begun = time.perf_counter()
    process = subprocess.Popen([SELCN, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 1), words
    return time.perf_counter() - begun, used.ru_maxrss / 1024


def commands(bundle: Path, images: int) -> dict[str, list[str]]:
    """What is measured, in order; later ones use what earlier ones wrote."""
    return {
        "phantom": ["phantom", "p", "--images", str(images), "--size", "160x120"],
        "index": ["index", "folder", "p/images", "--out", "found.csv"],
        "audit": ["audit", "p/catalog.csv"],
        "split": ["split", "p/catalog.csv", "--folds", "3", "--test", "0.2", "--out", "split.json"],
        "prepare": ["prepare", "p/catalog.csv", "--size", "160x120", "--out", "store"],
        "predict": ["predict", str(bundle.resolve()), "p/images", "--no-overlays", "--out", "predictions"],
        "evaluate": ["evaluate", "simulated.csv"],
    }


def measure_size(bundle: Path, images: int) -> dict[str, tuple[float, float]]:
    """Seconds and peak MiB by command."""
    with tempfile.TemporaryDirectory() as name:
        write_predictions(simulated_predictions(images), Path(name) / "simulated.csv")
        found = {command: run(words, Path(name)) for command, words in commands(bundle, images).items()}
        (Path(name) / "run.yaml").write_text(RUN)
        run(["run", "run.yaml", "--out", "run"], Path(name))
        return {**found, "report": run(["report", "run"], Path(name))}


def measure(bundle: Path, images: int = IMAGES) -> dict[str, float]:
    """All of it, and how much 8 times the images cost."""
    found = {factor: measure_size(bundle, factor * images) for factor in FACTORS}
    rows = [
        (command, factor * images, seconds, held)
        for factor, measured in found.items()
        for command, (seconds, held) in measured.items()
    ]
    result = {f"{command}, {number} images, seconds": seconds for command, number, seconds, _ in rows}
    result |= {f"{command}, {number} images, MiB": held for command, number, _, held in rows}
    return result


if __name__ == "__main__":
    print(measure(Path(sys.argv[1]), *(int(given) for given in sys.argv[2:])))
