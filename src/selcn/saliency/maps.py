"""Saliency of a data set on disk: one memory-mapped array at the network's own grid, an index, and what made it.

```
DIR/
  saliency.npy   float32 (N, h, w) in [0, 1]
  index.csv      image_id, group, fold, target, probability, prediction; row for row
  plan.json      what was explained, by which networks
```
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from selcn.errors import DataError
from selcn.io.resume import PLAN

MAPS, INDEX = "saliency.npy", "index.csv"


@dataclass(frozen=True, eq=False)
class SaliencyMaps:
    """Saliency of many images.

    Attributes:
        maps: float32 (N, h, w) in [0, 1], memory-mapped.
        index: one row an image: ``image_id, group, fold, target, probability, prediction``; ``probability`` is that of
            the explained class ``target``.
        plan: what was explained, by which networks.
    """

    maps: np.ndarray
    index: pd.DataFrame
    plan: dict[str, Any]

    def of(self, image_id: str) -> np.ndarray:
        """The map (h, w) of one image.

        Args:
            image_id: as in the index.

        Raises:
            DataError: there is none.
        """
        if image_id not in self._rows:
            raise DataError(f"image {image_id}: has no saliency here; the first is {next(iter(self._rows))}")
        row: np.ndarray = self.maps[self._rows[image_id]]
        return row

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.index["image_id"])}


def read_saliency(folder: Path) -> SaliencyMaps:
    """Open the folder that `selcn saliency` wrote.

    Args:
        folder: with `saliency.npy`, `index.csv` and `plan.json`.

    Raises:
        DataError: no such folder, or it is incomplete.
    """
    try:
        maps = np.load(folder / MAPS, mmap_mode="r")
        index = pd.read_csv(folder / INDEX, dtype={"image_id": str, "group": str, "fold": str}, keep_default_na=False)
        plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: not whole ({error}); make it anew with `selcn saliency`") from None
    if len(maps) != len(index):
        raise DataError(f"{folder}: {len(maps)} maps but {len(index)} rows; make it anew with `selcn saliency`")
    return SaliencyMaps(maps, index, plan)


def write_part(folder: Path, maps: np.ndarray, index: pd.DataFrame) -> None:
    """Write the maps of some images, and their rows of the index.

    Args:
        folder: an existing one.
        maps: float32 (n, h, w) in [0, 1].
        index: n rows, see `SaliencyMaps`.
    """
    np.save(folder / MAPS, maps)
    index.to_csv(folder / INDEX, index=False)


def seal_parts(parts: list[Path], folder: Path) -> None:
    """Join the maps and indices of all parts, one part in memory at a time.

    Args:
        parts: folders that `write_part` filled, in order; at least one.
        folder: an existing one, to write to.
    """
    indices = [pd.read_csv(part / INDEX, dtype=str, keep_default_na=False) for part in parts]
    pd.concat(indices, ignore_index=True).to_csv(folder / INDEX, index=False)
    first = np.load(parts[0] / MAPS)
    maps = open_memmap(folder / MAPS, "w+", first.dtype, (sum(map(len, indices)), *first.shape[1:]))
    row = 0
    for part, index in zip(parts, indices, strict=True):
        maps[row : row + len(index)] = np.load(part / MAPS)
        row += len(index)
    maps.flush()
