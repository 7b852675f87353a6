"""The contact sheet of a run's audit: images with probably wrong labels, and pairs that show one lesion, as one "
"page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from selcn.data.imaging.prepare import resize
from selcn.inference.overlay import panel_size
from selcn.io.files import write_text
from selcn.report.embed import Picture, embed_jpeg
from selcn.report.page import render
from selcn.runs.auditing import RunAudit
from selcn.runs.run import Run

MAX_SHOWN = 60
PANEL = 240
"""Pixels of the longer side of an image of the sheet."""


def write_sheet(run: Run, audit: RunAudit, out: Path, shown: int = MAX_SHOWN) -> None:
    """Write the contact sheet as a self-contained HTML page, with images as the run's store has them.

    Args:
        run: that was audited.
        audit: what was found.
        out: the file.
        shown: how many labels and how many pairs to show at most.
    """
    rows = {str(image): row for row, image in enumerate(run.table["image_id"])}

    def picture(image: str) -> Picture:
        array = np.asarray(run.store.images[rows[image]])
        return embed_jpeg(resize(array, panel_size(array, PANEL, PANEL)), image)

    errors = None
    if audit.errors is not None:
        errors = [
            {**row, "picture": picture(row["image_id"])} for row in audit.errors.table.head(shown).to_dict("records")
        ]
    pairs = []
    for row in audit.pairs.head(shown).to_dict("records"):
        pictures = [_shown(row, which, picture(row[which])) for which in ("first", "second")]
        pairs.append({**row, "pictures": pictures})
    context = {
        "name": run.folder.path.resolve().name,
        "network": audit.network,
        "images": audit.images,
        "errors": errors,
        "count": 0 if audit.errors is None else len(audit.errors.table),
        "examined": 0 if audit.errors is None else audit.errors.images,
        "estimated": 0.0 if audit.errors is None else audit.errors.estimated,
        "pairs": pairs,
        "pairs_found": len(audit.pairs),
        "leaking": int(audit.pairs["leaks"].sum()),
    }
    write_text(out, render("audit.html.j2", context))


def _shown(row: Mapping[Any, Any], which: str, picture: Picture) -> dict[str, Any]:
    about = {name: row[f"{column}_{which}"] for name, column in _SHOWN.items()}
    return {**about, "picture": picture}


_SHOWN = {"lesion": "lesion_id", "diagnosis": "diagnosis", "subset": "subset"}
