"""Small trees of the shape that data sets are published in."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

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
