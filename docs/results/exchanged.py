"""What the exchange of the lesion network changed in what the bundle that ships predicts.

python docs/results/exchanged.py BEFORE   # a folder of what the bundle predicted before; writes exchanged.csv
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.evaluation.comparison import compare, on_shared_images
from selcn.evaluation.predictions import read_predictions, read_scores
from selcn.evaluation.score_comparison import compare_scores
from selcn.labels import HAM10000, LABEL_SETS, TEST, LabelSet
from tables import stored, told

OUT = Path(__file__).parent / "ham10000-bundle"
FILE = OUT / "exchanged.csv"
SYMMETRY = LABEL_SETS["symmetry-binary"]
MASK_METRICS = "dice", "thresholded_jaccard", "boundary_f1", "sensitivity", "specificity"
CHANGED, LARGEST = "changed_predictions", "largest_change"


def keep_changes(before: Path) -> None:
    """Write paired differences, later minus before."""
    tables = []
    for name in ("test-lesion", "ph2-lesion"):
        found = compare_scores(*(read_scores(folder / f"{name}.parquet") for folder in (before, OUT)))
        tables.append(found[found["metric"].isin(MASK_METRICS)].assign(file=name))
    for name in ("test-symmetry", "ph2-symmetry"):
        pair = (read_predictions(folder / f"{name}.parquet", SYMMETRY) for folder in (before, OUT))
        found = compare(*on_shared_images(*pair))
        tables.append(found[found["metric"].isin(["balanced_accuracy", "macro_auc"])].assign(file=name))
    names = ("test-diagnosis", "ph2-diagnosis")
    tables += [_changes(before / f"{name}.parquet", OUT / f"{name}.parquet").assign(file=name) for name in names]
    pd.concat(tables).to_csv(FILE, index=False)


def _changes(before: Path, later: Path, labels: LabelSet = HAM10000) -> pd.DataFrame:
    """How many predictions of the diagnosis changed, and the largest change of a probability."""
    old, new = (pd.read_parquet(path).set_index("image_id").sort_index() for path in (before, later))
    names = [*labels.names]
    largest = float(np.abs(old[names].to_numpy() - new[names].to_numpy()).max())
    changed = int((old["predicted"] != new["predicted"]).sum())
    return pd.DataFrame(
        {"metric": [CHANGED, LARGEST], "fold_part": TEST, "value": [changed, largest], "images": len(new)}
    )


def hardly_changed() -> str:
    """How far the diagnosis of the bundle depends on the outlines, in words."""
    changed, largest = (stored(FILE, "test-diagnosis", metric) for metric in (CHANGED, LARGEST))
    return (
        f"with the later outlines {changed['value']:.0f} of {changed['images']:.0f} predictions of the test subset "
        f"changed, no probability by over {np.ceil(1e4 * largest['value']) / 1e4:.4f}"
    )


def exchange_section() -> str:
    """What changed, paired."""

    def changed(file: str, *metrics: str) -> str:
        return told({metric: stored(FILE, file, metric) for metric in metrics})

    return TEXT.format(
        test=changed("test-lesion", *MASK_METRICS[:3]),
        ph2=changed("ph2-lesion", *MASK_METRICS),
        symmetry=changed("test-symmetry", "balanced_accuracy", "macro_auc"),
        elsewhere=changed("ph2-symmetry", "balanced_accuracy", "macro_auc"),
        diagnosis=hardly_changed(),
    )


TEXT = """The bundle minus that before, on the same images, paired: outlines of HAM10000 {test}. The U-Net follows these
more closely, and those of PH2, which other experts drew, less: {ph2}; there its outlines are wider. No choice was made
on that. Symmetry, whose networks are the same, on HAM10000 {symmetry}, on PH2 {elsewhere}. Of the diagnosis,
{diagnosis}."""


if __name__ == "__main__":
    keep_changes(Path(sys.argv[1]))
