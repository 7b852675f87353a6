"""Saliency of a data set drawn on its images, one file an image."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from selcn.data.imaging.prepare import resize
from selcn.data.imaging.read import read_image, write_image
from selcn.inference.overlay import PANEL_WIDTHS, blend_saliency, panel_size
from selcn.io.progress import OnProgress
from selcn.saliency.maps import SaliencyMaps


def write_overlays(
    maps: SaliencyMaps,
    table: pd.DataFrame,
    names: Collection[str],
    folder: Path,
    *,
    on_progress: OnProgress | None = None,
) -> int:
    """Draw saliency on its images, `IMAGE_ID.png` each, and return how many were drawn.

    Args:
        maps: of many images.
        table: their catalog.
        names: image_ids, or `all` for all of them.
        folder: created where it does not exist.
        on_progress: called with images done and images in all.

    Raises:
        DataError: an image has no saliency, or its file cannot be read.
    """
    chosen = list(maps.index["image_id"]) if "all" in names else list(dict.fromkeys(names))
    paths = dict(zip(table["image_id"], table["image_path"], strict=True))
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(chosen, start=1):
        saliency, image = maps.of(name), read_image(Path(paths[name]))
        panel = resize(image, panel_size(image, *PANEL_WIDTHS))
        write_image(folder / f"{name.replace('/', '_')}.png", blend_saliency(panel, saliency))
        if on_progress:
            on_progress(number, len(chosen))
    return len(chosen)
