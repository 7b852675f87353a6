"""Catalogs that need no pictures, and pictures of one grey."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from selcn.data.catalog import complete_catalog

MakeCatalog = Callable[..., pd.DataFrame]
Picture = Callable[..., Path]


@pytest.fixture(scope="session")
def picture() -> Picture:
    """Write a small picture of one grey level, and the folders it needs."""

    def write(path: Path, level: int = 128) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = cv2.imencode(path.suffix.lower(), np.full((6, 8, 3), level, np.uint8))[1]
        path.write_bytes(data.tobytes())
        return path

    return write


@pytest.fixture(scope="session")
def make_catalog() -> MakeCatalog:
    """A catalog of lesions with one to ``photographs`` images, classes and symmetries in turn."""

    def make(
        lesions: int = 60, photographs: int = 2, classes: tuple[str, ...] = ("nv", "mel", "df"), source: str = ""
    ) -> pd.DataFrame:
        rows = [
            {
                "image_id": f"{source}{lesion}-{shot}",
                "image_path": "x.png",
                "lesion_id": f"{source}{lesion}",
                "diagnosis": classes[lesion % len(classes)],
                "symmetry": ("asymmetric", "one-axis")[lesion // len(classes) % 2],
                "source": source,
            }
            for lesion in range(lesions)
            for shot in range(1 + lesion % photographs)
        ]
        return complete_catalog(pd.DataFrame(rows), "catalog")

    return make
