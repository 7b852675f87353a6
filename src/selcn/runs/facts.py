"""What is known of a run's images beside their classes: the catalog, and what the images themselves tell.

```
RUN/facts/PLAN/   the first digits of the plan's SHA-256
  facts.csv       image_id, lesion_share, ita, hair, ruler, vignette, bubbles, ink; an empty cell is unknown
  plan.json       of which images of which catalog
```
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.data.appearance import APPEARANCE, ITA, measure_appearance
from selcn.data.catalog import catalog_hash
from selcn.data.imaging.read import read_image
from selcn.errors import DataError
from selcn.evaluation.intervals import fold_parts
from selcn.io.progress import OnProgress
from selcn.io.resume import work_in_parts
from selcn.runs.folder import MASKS
from selcn.runs.plan import Kind, Step
from selcn.runs.run import Run

FACTS = "facts.csv"
LESION_SHARE = "lesion_share"
SKIN_LABELS = (
    "skin_tone",
    "skin_tone_class",
    "fitzpatrick",
    "fitzpatrick_scale",
    "fitzpatrick_skin_type",
    "monk_skin_tone",
)
"""Columns of catalogs that hold what skin a person has; where one does, no angle is estimated in its place."""
_VERSION = 1  # of how facts are measured
_PART = 64  # images
_DIGITS = 12


def run_facts(run: Run, on_progress: OnProgress | None = None) -> pd.DataFrame:
    """The catalog of the test subset, or of the folds where nothing else was scored, with what the images tell.

    Columns of the catalog go first: what it names is not estimated, and no typology angle where it knows the skin.

    Args:
        run: whose networks have finished.
        on_progress: called with parts of the images done and parts in all.

    Returns:
        A row an image; lesion shares are of true masks, skin is measured outside true masks or else predicted ones.

    Raises:
        DataError: another process measures the same images.
    """
    rows = run.test_rows if _is_tested(run) else np.sort(np.concatenate(run.fold_rows))
    parts = np.split(rows, range(_PART, len(rows), _PART))
    images = run.table["image_id"].iloc[rows].tolist()
    plan = {"facts": _VERSION, "catalog": catalog_hash(run.table), "images": images}

    def do(number: int, folder: Path) -> None:
        pd.DataFrame([_facts(run, int(row)) for row in parts[number]]).to_csv(folder / FACTS, index=False)

    def seal(folders: list[Path], folder: Path) -> None:
        found = [pd.read_csv(one / FACTS, dtype=str, keep_default_na=False) for one in folders]
        pd.concat(found, ignore_index=True).to_csv(folder / FACTS, index=False)

    out = run.folder.facts / hashlib.sha256(json.dumps(plan).encode()).hexdigest()[:_DIGITS]
    work_in_parts(out, plan, len(parts), do, seal, on_progress)
    measured = pd.read_csv(out / FACTS, dtype=str, keep_default_na=False)
    known = [name for name in run.table if name in measured and name != "image_id"]
    if any(name in run.table and (run.table[name] != "").any() for name in SKIN_LABELS):
        known.append(ITA)
    kept = measured.drop(columns=[name for name in known if name in measured])
    return run.table.iloc[rows].merge(kept, on="image_id", validate="one_to_one")


def _is_tested(run: Run) -> bool:
    """Whether test images of the target were scored."""
    target = run.graph.target
    if target in run.graph.classifiers and run.folder.prediction_file(target).is_file():
        return "test" in fold_parts(run.predictions(target).table)
    return bool(len(run.test_rows))


def _facts(run: Run, row: int) -> dict[str, str | float]:
    entry = run.table.iloc[row]
    true = np.asarray(run.store.masks[row]) > 0 if run.store.has_mask[row] else None
    share = "" if true is None else round(float(true.mean()), 4)
    try:
        image = read_image(Path(entry["image_path"]))
    except DataError:  # a catalog of a machine that is elsewhere; what it tells is unknown
        return {"image_id": entry["image_id"], LESION_SHARE: share, **dict.fromkeys(APPEARANCE, "")}
    found = measure_appearance(image, true if true is not None else _predicted(run, row))
    angle = found[ITA]
    rounded = "" if isinstance(angle, float) and np.isnan(angle) else round(float(angle), 1)
    return {"image_id": entry["image_id"], LESION_SHARE: share, **found, ITA: rounded}


def _predicted(run: Run, row: int) -> np.ndarray | None:
    segmenter = run.graph.segmenter
    if segmenter is None or not run.folder.finished(Step(Kind.OUTPUTS, segmenter)):
        return None
    mask: np.ndarray = np.asarray(run.output(segmenter, MASKS)[row]) > 0
    return mask
