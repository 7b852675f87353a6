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
    leaking = {name: _by_lesion(OUT / f"{name}.parquet") for name in NAMES}
    rows = [
        {
            "": name,
            "by image, leaking": _shown(predictions),
            "by lesion": _shown(read_predictions(file(name, SEED), HAM10000)),
        }
        for name, predictions in leaking.items()
    ]
    differences = []
    for other in NAMES[1:]:
        table = compare_seeds([leaking[other]], [leaking[ARM]])
        tested = table[(table["fold_part"] == TEST) & (table["metric"] == METRIC)]
        differences.append(f"{points(tested.iloc[0].to_dict())} from {other}")
    words = f"Leaking as they are, {ARM} differs in balanced accuracy by {' and '.join(differences)}."
    return [TEXT, markdown(pd.DataFrame(rows)), f"{words} {_seen(leaking[ARM])}"]


def _by_lesion(path: Path) -> Predictions:
    """Predictions of the leaking run, which knows single images alone, with the lesions of the run beside it."""
    lesions = pd.read_parquet(file(ARM, SEED)).set_index("image_id")["group"]
    table = read_predictions(path, HAM10000).table
    return Predictions(HAM10000, table.assign(group=table["image_id"].map(lesions)))


def _shown(predictions: Predictions) -> str:
    """Balanced accuracy on the test subset."""
    table = evaluate_classification(predictions)
    return interval(table[(table["fold_part"] == TEST) & (table["metric"] == METRIC)].iloc[0].to_dict())


def _seen(predictions: Predictions) -> str:
    """Test images whose lesion was trained on, and the others."""
    table = predictions.table
    tested = table["fold"] == TEST
    seen = table["group"].isin(table.loc[~tested, "group"])
    parts = {
        name: _shown(Predictions(HAM10000, table[tested & chosen].reset_index(drop=True)))
        for name, chosen in (("seen", seen), ("other", ~seen))
    }
    return (
        f"Of the leaking test images {100 * seen[tested].mean():.0f} % show a lesion of which another image was "
        f"trained on; their balanced accuracy is {parts['seen']}, that of the others, lesions of one image for the "
        f"most part, which are the easier ones, {parts['other']}."
    )


TEXT = f"""### What leakage adds

    selcn run configs/cam-transfer.yaml --set split.protocol=thesis --set split.folds=4 --out runs/leaking

The same networks under the original's protocol: by image in place of by lesion, 80 to 20 and four folds, so that
photographs of one lesion are trained on and tested. Three arms, seed {SEED}. These figures are no estimate for new
lesions. Balanced accuracy on the test subset, ensembles of four and of five, 95 % intervals by lesion; the two test
subsets are of other images, so that their difference is not that of leakage alone."""


if __name__ == "__main__":
    run = open_run(Path(sys.argv[1]))
    keep_predicted(run, OUT)
    shutil.copyfile(run.folder.environment, OUT / "environment.json")
