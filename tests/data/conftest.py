"""Catalogs that need no pictures."""

from collections.abc import Callable

import pandas as pd
import pytest

from selcn.data.catalog import complete_catalog

MakeCatalog = Callable[..., pd.DataFrame]


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
