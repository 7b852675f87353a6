"""A prepared store: reading a batch of 64 random images, and building one of 10,000 images at 256x192.

Reading is compared with decoding and resizing the same images from PNG at 600x450, alternated, medians; the images
are synthetic (smooth noise, with masks). The page cache is warm for both.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from selcn.data.catalog import complete_catalog, read_catalog, write_catalog
from selcn.data.imaging.prepare import prepare_image
from selcn.data.imaging.read import read_image, write_image
from selcn.data.store.build import build_store
from selcn.data.store.store import IMAGES, Store

PICTURES, ROWS, BATCH, REPEATS = 128, (1_000, 10_000), 64, 15
STORED, PREPARED = (600, 450), (256, 192)
PEAK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import store
store.build(Path(sys.argv[2]), Path(sys.argv[3]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def draw(folder: Path) -> None:
    """Write distinct images and masks, and catalogs of many rows: hard links, since the content does not matter."""
    generator = np.random.default_rng(0)
    for n in range(PICTURES):
        coarse = generator.integers(40, 230, (45, 60, 3), dtype=np.uint8)
        grain = generator.normal(0, 4, (*STORED[::-1], 3))
        picture = (cv2.resize(coarse, STORED, interpolation=cv2.INTER_CUBIC) + grain).clip(0, 255)
        write_image(folder / f"{n}.png", picture.astype(np.uint8))
        write_image(folder / f"{n}-mask.png", cv2.circle(np.zeros(STORED[::-1], np.uint8), (300, 225), 120, 255, -1))
    for rows in ROWS:
        for row in range(PICTURES, rows):
            for suffix in (".png", "-mask.png"):
                link = folder / f"{row}{suffix}"
                if not link.exists():
                    os.link(folder / f"{row % PICTURES}{suffix}", link)
        table = pd.DataFrame({"image_id": [str(row) for row in range(rows)]})
        for column, suffix in (("image_path", ".png"), ("mask_path", "-mask.png")):
            table[column] = [str(folder / f"{row}{suffix}") for row in range(rows)]
        write_catalog(complete_catalog(table, "benchmark"), folder / f"{rows}.csv")


def build(catalog: Path, out: Path) -> Store:
    """A store of a catalog, without hair removal."""
    return build_store(read_catalog(catalog), out, size=PREPARED, hair=False)


def decode(folder: Path, rows: np.ndarray) -> list[np.ndarray]:
    """Images of some rows from their PNG files."""
    return [prepare_image(read_image(folder / f"{row}.png"), PREPARED, hair=False) for row in rows]


def gather(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Images of some rows from a store."""
    return np.asarray(images[rows])


def seconds(work: Callable[..., object], *arguments: object) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def measure() -> dict[str, float]:
    """Milliseconds a batch of each, their ratio, what ten times the rows cost, and time and memory of building."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder)
        build(folder / f"{ROWS[0]}.csv", folder / "small")
        start = time.perf_counter()
        command = [sys.executable, "-c", PEAK, str(Path(__file__).parent), str(folder / f"{ROWS[1]}.csv")]
        printed = subprocess.run([*command, str(folder / "large")], capture_output=True, text=True, check=True).stdout
        building = time.perf_counter() - start
        peak = float(printed)
        small, large = (np.load(folder / store / IMAGES, mmap_mode="r") for store in ("small", "large"))
        _ = small.max(), large.max()  # warms the page cache
        generator = np.random.default_rng(1)
        times = []
        for _ in range(REPEATS):
            few, many = (generator.integers(0, count, BATCH) for count in ROWS)
            times.append((seconds(decode, folder, few), seconds(gather, small, few), seconds(gather, large, many)))
    slow, fast, from_large = (statistics.median(column) for column in zip(*times, strict=True))
    return {
        "64 images from the store, ms": 1e3 * fast,
        "64 images from PNG at 600x450, ms": 1e3 * slow,
        "ratio": slow / fast,
        "10,000 rows against 1,000, ratio": from_large / fast,
        "building 10,000, seconds": building,
        "building 10,000, peak MiB": peak,
    }


if __name__ == "__main__":
    print(measure())
