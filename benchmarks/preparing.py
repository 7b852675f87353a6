"""Preparing 1,000 images of 600x450 with hair removal: a store, and OpenCV calls one image at a time.

The images are 64 synthetic JPEG with drawn hairs, linked under many names. Both should end with the same arrays.
"""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from selcn.data.catalog import complete_catalog
from selcn.data.store.build import build_store
from timing import medians

DISTINCT, IMAGES, STORED, PREPARED, REPEATS = 64, 1_000, (600, 450), (256, 192), 3


def draw(folder: Path) -> pd.DataFrame:
    """Write the images and return their catalog."""
    generator = np.random.default_rng(0)
    for number in range(DISTINCT):
        coarse = generator.integers(120, 230, (9, 12, 3), dtype=np.uint8)
        image = cv2.resize(coarse, STORED, interpolation=cv2.INTER_CUBIC)
        for _ in range(12):
            start, end = (tuple(int(value) for value in generator.integers(0, STORED)) for _ in range(2))
            cv2.line(image, start, end, (30, 20, 20), 2)
        cv2.imwrite(str(folder / f"{number}.jpg"), image)
    for number in range(DISTINCT, IMAGES):
        os.link(folder / f"{number % DISTINCT}.jpg", folder / f"{number}.jpg")
    rows = [{"image_id": str(number), "image_path": str(folder / f"{number}.jpg")} for number in range(IMAGES)]
    return complete_catalog(pd.DataFrame(rows), "benchmark")


def one_at_a_time(table: pd.DataFrame) -> np.ndarray:
    """What a script would do: read, black-hat, threshold, inpaint, resize."""
    prepared = np.empty((len(table), PREPARED[1], PREPARED[0], 3), np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (17, 17))
    for row, path in enumerate(table["image_path"]):
        image = cv2.imread(path, cv2.IMREAD_COLOR)
        assert image is not None
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        hair = (cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, cross) > 10).astype(np.uint8)
        clean = cv2.inpaint(image, hair, 1, cv2.INPAINT_TELEA)
        prepared[row] = cv2.cvtColor(cv2.resize(clean, PREPARED, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    return prepared


def inpainted(table: pd.DataFrame) -> None:
    """The library calls that cannot be avoided: decoding, black-hat and inpainting, threads on all cores."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (17, 17))

    def one(path: str) -> None:
        image = cv2.imread(path, cv2.IMREAD_COLOR)
        assert image is not None
        hair = cv2.morphologyEx(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.MORPH_BLACKHAT, cross) > 10
        cv2.inpaint(image, hair.astype(np.uint8), 1, cv2.INPAINT_TELEA)

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, table["image_path"]))
    cv2.setNumThreads(threads)


def measure() -> dict[str, float]:
    """Images a second of each, their ratio, and the largest difference of a grey level."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, count = draw(folder), iter(range(1_000_000))

        def ours() -> np.ndarray:
            return np.asarray(build_store(table, folder / f"store-{next(count)}", size=PREPARED, hair=True).images)

        works = {"ours": ours, "inpaint": lambda: inpainted(table), "theirs": lambda: one_at_a_time(table)}
        times = medians(works, REPEATS, warm=0)
        apart = np.abs(ours().astype(int) - one_at_a_time(table)).max()
    return {
        "store, images/s": IMAGES / times["ours"],
        "OpenCV, images/s": IMAGES / times["theirs"],
        "reading and inpainting alone on all cores, images/s": IMAGES / times["inpaint"],
        "store to reading and inpainting alone": times["ours"] / times["inpaint"],
        "ratio": times["theirs"] / times["ours"],
        "largest difference, grey levels": int(apart),
    }


if __name__ == "__main__":
    print(measure())
