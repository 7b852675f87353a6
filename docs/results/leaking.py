"""What docs/results.md says of the original's protocol, by image in place of by lesion, which leaks.

python docs/results/leaking.py RUN   # keep of a run under that protocol predictions and times
"""

import shutil
import sys
from pathlib import Path

import pandas as pd

from arms import OUT as ARMS
from arms import STANDALONE, file, keep_predicted
from selcn.evaluation import compare_seeds, evaluate_classification
from selcn.evaluation.predictions import Predictions, read_predictions
from selcn.labels import HAM10000, TEST
from selcn.runs.run import open_run
from tables import interval, markdown
from transfer import ARM, points

OUT = ARMS / "leaking"
NAMES = (ARM, STANDALONE, f"{ARM}-zero")
SEED, METRIC = "0", "balanced_accuracy"


def leaking_section() -> list[str]:
    """The page's section."""
    files = {name: OUT / f"{name}.parquet" for name in NAMES}
    rows = [{"": name, **_cells(path, file(name, SEED))} for name, path in files.items()]
    differences = []
    for other in NAMES[1:]:
        table = compare_seeds([files[other]], [files[ARM]], labels=HAM10000)
        tested = table[(table["fold_part"] == TEST) & (table["metric"] == METRIC)]
        differences.append(f"{points(tested.iloc[0].to_dict())} from {other}")
    words = f"Leaking as they are, {ARM} differs in balanced accuracy by {' and '.join(differences)}."
    return [TEXT, markdown(pd.DataFrame(rows)), f"{words} {_seen(files[ARM])}"]


def _cells(leaking: Path, grouped: Path) -> dict[str, str]:
    return {
        "by image, leaking": _shown(read_predictions(leaking, HAM10000)),
        "by lesion": _shown(read_predictions(grouped, HAM10000)),
    }


def _shown(predictions: Predictions) -> str:
    """Balanced accuracy on the test subset."""
    table = evaluate_classification(predictions)
    return interval(table[(table["fold_part"] == TEST) & (table["metric"] == METRIC)].iloc[0].to_dict())


def _seen(path: Path) -> str:
    """Test images whose lesion was trained on, and the others."""
    predictions = read_predictions(path, HAM10000)
    table = predictions.table
    tested = table["fold"] == TEST
    seen = table["group"].isin(table.loc[~tested, "group"])
    parts = {
        name: _shown(Predictions(HAM10000, table[tested & chosen].reset_index(drop=True)))
        for name, chosen in (("seen", seen), ("other", ~seen))
    }
    return (
        f"Of the test images {100 * seen[tested].mean():.0f} % show a lesion of which another image was trained on; "
        f"their balanced accuracy is {parts['seen']}, that of the others {parts['other']}."
    )


TEXT = f"""### What leakage adds

    selcn run configs/cam-transfer.yaml --set split.protocol=thesis --set split.folds=4 --out runs/leaking

The same networks under the original's protocol: by image in place of by lesion, 80 to 20 and four folds, so that
photographs of one lesion are trained on and tested. Three arms, seed {SEED}. These figures are no estimate for new
lesions. Balanced accuracy on the test subset, ensembles, 95 % intervals by lesion; the two subsets are of other
images."""


if __name__ == "__main__":
    run = open_run(Path(sys.argv[1]))
    keep_predicted(run, OUT)
    shutil.copyfile(run.folder.environment, OUT / "environment.json")
