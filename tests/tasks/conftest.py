"""Arrays of eight images whose every pixel tells which image it is."""

import numpy as np
import pytest

from selcn.data.store.store import Store


@pytest.fixture
def store() -> Store:
    """Images (8, 4, 6, 3) of value 10 x row, masks of as many lesion pixels as the row's number; row 3 has no mask."""
    rows = np.arange(8, dtype=np.uint8)
    images = np.broadcast_to(10 * rows[:, None, None, None], (8, 4, 6, 3))
    masks = (np.arange(24).reshape(1, 4, 6) < rows[:, None, None]).astype(np.uint8)
    return Store(images, masks, rows != 3, [str(row) for row in rows], hair=False, catalog="")
