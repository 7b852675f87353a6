"""Seconds from nothing to the first prediction of a file, `selcn predict --engine onnx` in a process of its own.

python benchmarks/start.py BUNDLE FOLDER_OF_REAL_PICTURES

Beside it `import selcn`, `selcn --help`, and an interpreter that does nothing, which is the floor of both.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from selcn.data.discovery import find_images

REPEATS = 7
SELCN = str(Path(sys.executable).with_name("selcn"))
COMMANDS = {
    "nothing": [sys.executable, "-c", ""],
    "import selcn": [sys.executable, "-c", "import selcn"],
    "help of selcn": [SELCN, "--help"],
}


def seconds(command: list[str]) -> float:
    """Of one start."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begun


def repeated(command: list[str]) -> list[float]:
    """Of several starts; the first, from a cold disk, is not counted."""
    return [seconds(command) for _ in range(REPEATS + 1)][1:]


def measure(bundle: Path, originals: Path) -> dict[str, float]:
    """The median and the slowest of several starts, and the medians of the others."""
    picture = find_images(originals)[0]
    with tempfile.TemporaryDirectory() as folder:
        # Each into a folder of its own, since a finished one is not predicted again.
        predict = [SELCN, "predict", str(bundle), str(picture), "--engine", "onnx", "--out"]
        taken = [seconds([*predict, f"{folder}/{number}"]) for number in range(REPEATS + 1)][1:]
    others = {f"{name}, median seconds": statistics.median(repeated(command)) for name, command in COMMANDS.items()}
    return {
        "starts": REPEATS,
        "median seconds": statistics.median(taken),
        "slowest seconds": max(taken),
        **others,
    }


if __name__ == "__main__":
    print(measure(*(Path(path) for path in sys.argv[1:3])))
