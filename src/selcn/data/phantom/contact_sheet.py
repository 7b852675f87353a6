"""One image of a phantom: a lesion of every diagnosis and symmetry, with its outline and its asymmetry."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from selcn.data.imaging.read import read_image, read_mask
from selcn.labels import HAM10000, SYMMETRY

FULL_NAMES = {
    "nv": "melanocytic\nnevus",
    "mel": "melanoma",
    "bkl": "benign\nkeratosis",
    "bcc": "basal cell\ncarcinoma",
    "akiec": "actinic\nkeratosis",
    "vasc": "vascular\nlesion",
    "df": "dermato-\nfibroma",
}
OUTLINE, INK, GREY = "#35f2c0", "#222222", "#666666"
CANDIDATES = 8


def draw_contact_sheet(table: pd.DataFrame, path: Path) -> None:
    """Draw a row for each diagnosis, and for each symmetry a photograph and, beside it, what is known of it.

    Args:
        table: the catalog, with paths that can be opened; where it has no such lesion the place stays empty, where
            it has many the largest of the first few is shown.
        path: of the PNG to write.
    """
    height, width = read_image(Path(table["image_path"].iloc[0])).shape[:2]
    figure = Figure(figsize=(11.0, 0.32 + len(HAM10000.names) * 1.64 * height / width), dpi=100, facecolor="white")
    columns, margins = [1, 1, 0.12, 1, 1, 0.12, 1, 1], {"left": 0.1, "right": 0.995, "top": 0.96, "bottom": 0.006}
    grid = figure.add_gridspec(len(HAM10000.names), 8, width_ratios=columns, wspace=0.03, hspace=0.03, **margins)
    for row, diagnosis in enumerate(HAM10000.names):
        for group, symmetry in enumerate(SYMMETRY.names):
            plain, known = (figure.add_subplot(grid[row, 3 * group + place]) for place in (0, 1))
            _fill(plain, known, table[(table["diagnosis"] == diagnosis) & (table["symmetry"] == symmetry)])
            if row == 0:
                plain.set_title(symmetry, loc="left", fontsize=13, fontweight="bold", color=INK)
                known.set_title("outline, asymmetry", loc="left", fontsize=10, color=GREY)
            if group == 0:
                beside = partial(plain.text, -0.62, transform=plain.transAxes)
                beside(0.62, diagnosis, fontsize=15, fontweight="bold", color=INK)
                beside(0.53, FULL_NAMES[diagnosis], fontsize=9, color=GREY, va="top")
    figure.savefig(path)


def _fill(plain: Axes, known: Axes, candidates: pd.DataFrame) -> None:
    for axes in (plain, known):
        axes.set_axis_off()
    if candidates.empty:
        plain.text(0.5, 0.5, "none", ha="center", va="center", color=GREY, transform=plain.transAxes)
        return
    masks = [read_mask(Path(path)) for path in candidates["mask_path"].head(CANDIDATES)]
    largest = int(np.argmax([mask.sum() for mask in masks]))
    row, mask = candidates.iloc[largest], masks[largest]
    image = read_image(Path(row["image_path"]))
    asymmetry = read_image(Path(row["asymmetry_path"]))[..., 0] / 255
    lesion = np.where(mask, image.mean(axis=2) * 0.8 + 20, 60)
    plain.imshow(image, interpolation="lanczos")
    known.imshow(lesion, cmap="gray", vmin=0, vmax=255, interpolation="lanczos")
    known.imshow(asymmetry, cmap="inferno", vmin=0, vmax=1, alpha=asymmetry * 0.9, interpolation="bilinear")
    known.contour(mask.astype(np.float32), levels=[0.5], colors=[OUTLINE], linewidths=1.3)
