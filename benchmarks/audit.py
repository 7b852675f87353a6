"""Seconds to audit 10,000 images of 200x150 with masks at 600x450, duplicates included, with all cores.

The images are synthetic: smooth noise, saved as JPEG, masks as PNG.
"""

import resource
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from selcn.data.audit import audit
from selcn.data.catalog import complete_catalog
from selcn.data.imaging.read import write_image

IMAGES, SIZE, MASK = 10_000, (200, 150), (600, 450)


def draw(folder: Path) -> pd.DataFrame:
    """Write distinct images and masks, and name them."""
    generator = np.random.default_rng(0)
    rows = []
    for n in range(IMAGES):
        coarse = generator.integers(40, 230, (15, 20, 3), dtype=np.uint8)
        write_image(folder / f"{n}.jpg", cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC))
        mask = cv2.circle(np.zeros(MASK[::-1], np.uint8), (300, 225), int(generator.integers(40, 200)), 255, -1)
        write_image(folder / f"{n}-mask.png", mask)
        paths = {"image_path": str(folder / f"{n}.jpg"), "mask_path": str(folder / f"{n}-mask.png")}
        rows.append({"image_id": str(n), **paths, "lesion_id": f"L{n // 2}", "diagnosis": "nv"})
    return complete_catalog(pd.DataFrame(rows), "benchmark")


def measure() -> dict[str, float]:
    """Wall seconds, and what the peak of resident memory grew by."""
    with tempfile.TemporaryDirectory() as name:
        table = draw(Path(name))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        found = audit(table)
        seconds = time.perf_counter() - start
    assert not found.blocking
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"seconds": seconds, "MiB more at the peak": added}


if __name__ == "__main__":
    print(measure())
