"""Seconds from nothing to the first prediction of a file, `selcn predict --engine onnx` in a process of its own.

python benchmarks/start.py BUNDLE FOLDER_OF_REAL_PICTURES
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from selcn.data.discovery import find_images

REPEATS = 7


def seconds(bundle: Path, picture: Path) -> float:
    """Of one start."""
    with tempfile.TemporaryDirectory() as out:
        program = [str(Path(sys.executable).with_name("selcn")), "predict", str(bundle), str(picture)]
        begun = time.perf_counter()
        subprocess.run([*program, "--engine", "onnx", "--out", out], check=True, capture_output=True)
        return time.perf_counter() - begun


def measure(bundle: Path, originals: Path) -> dict[str, float]:
    """The median and the slowest of several starts; the first, from a cold disk, is not counted."""
    picture = find_images(originals)[0]
    taken = [seconds(bundle, picture) for _ in range(REPEATS + 1)][1:]
    return {"starts": REPEATS, "median seconds": statistics.median(taken), "slowest seconds": max(taken)}


if __name__ == "__main__":
    print(measure(*(Path(path) for path in sys.argv[1:3])))
