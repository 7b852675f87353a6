"""Seconds to draw 1,000 synthetic images of 160x120 with masks and maps of asymmetry, with all cores."""

import tempfile
import time
from pathlib import Path

from selcn.data.phantom import write_phantom

IMAGES = 1_000


def measure() -> dict[str, float]:
    """Wall seconds of one data set."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        write_phantom(Path(folder) / "phantom", images=IMAGES, seed=0)
        return {"seconds": time.perf_counter() - start}


if __name__ == "__main__":
    print(measure())
