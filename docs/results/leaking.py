"""What docs/results.md says of the original's protocol, by image in place of by lesion, which leaks.

python docs/results/leaking.py RUN   # keep of a run under that protocol predictions, times and scores
"""

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
LEAKING, FAIR, DIFFERENCE, SEEN, OTHER = "leaking", "by lesion", "difference", "seen", "other"
SHARE, ALONE = "share seen", "share of others alone"
"""What a stored score is of."""


def leaking_section() -> list[str]:
    """The page's section."""
    found = {(row["of"], row["network"]): row for row in pd.read_csv(OUT / "scores.csv").to_dict("records")}
    rows = [
        {"": name, "by image, leaking": interval(found[LEAKING, name]), "by lesion": interval(found[FAIR, name])}
        for name in NAMES
    ]
    differences = [f"{points(found[DIFFERENCE, other])} from {other}" for other in NAMES[1:]]
    words = f"Leaking as they are, {ARM} differs in balanced accuracy by {' and '.join(differences)}."
    seen = (
        f"Of the leaking test images {100 * found[SHARE, ARM]['value']:.0f} % show a lesion of which another image was "
        f"trained on; their balanced accuracy is {interval(found[SEEN, ARM])}, that of the others, of which "
        f"{100 * found[ALONE, ARM]['value']:.0f} % are the only image of their lesion, {interval(found[OTHER, ARM])}: "
        "these are other lesions, so that their difference is not that of leakage either."
    )
    return [TEXT, markdown(pd.DataFrame(rows)), f"{words} {seen}"]


def scores() -> pd.DataFrame:
    """Every number of the section, from what was predicted."""
    leaking = {name: by_lesion(OUT / f"{name}.parquet") for name in NAMES}
    table = leaking[ARM].table
    tested = table["fold"] == TEST
    seen = table["group"].isin(table.loc[~tested, "group"])
    alone = table.groupby("group")["group"].transform("size") == 1
    parts = {
        of: Predictions(HAM10000, table[tested & chosen].reset_index(drop=True))
        for of, chosen in ((SEEN, seen), (OTHER, ~seen))
    }
    rows = [
        *((LEAKING, name, score(one)) for name, one in leaking.items()),
        *((FAIR, name, score(read_predictions(file(name, SEED), HAM10000))) for name in NAMES),
        *((DIFFERENCE, name, _chosen(compare_seeds([leaking[name]], [leaking[ARM]]))) for name in NAMES[1:]),
        *((of, ARM, score(one)) for of, one in parts.items()),
        (SHARE, ARM, {"value": float(seen[tested].mean())}),
        (ALONE, ARM, {"value": float(alone[tested & ~seen].mean())}),
    ]
    return pd.DataFrame([{"of": of, "network": name, **row} for of, name, row in rows])


def by_lesion(path: Path) -> Predictions:
    """Predictions of the leaking run, which knows single images alone, with the lesions of the run beside it."""
    lesions = pd.read_parquet(file(ARM, SEED)).set_index("image_id")["group"]
    table = read_predictions(path, HAM10000).table
    return Predictions(HAM10000, table.assign(group=table["image_id"].map(lesions)))


def score(predictions: Predictions) -> dict[str, float]:
    """Balanced accuracy on the test subset with its interval."""
    return _chosen(evaluate_classification(predictions))


def _chosen(table: pd.DataFrame) -> dict[str, float]:
    """Balanced accuracy on the test subset, or a difference of it, with its interval."""
    row = table[(table["fold_part"] == TEST) & (table["metric"] == METRIC)].iloc[0]
    return {name: float(row[name]) for name in ("value", "low", "high")}


TEXT = f"""### What leakage adds

    selcn run configs/cam-transfer.yaml --set split.protocol=thesis --set split.folds=4 --out runs/leaking

The same configuration, with later source, under the original's protocol: by image in place of by lesion, 80 to 20 and
four folds, so that photographs of one lesion are trained on and tested. Three arms, seed {SEED}. These figures are no
estimate for new lesions. Balanced accuracy on the test subset, ensembles of four and of five, 95 % intervals by lesion;
the two test subsets are of other images, so that their difference is not that of leakage alone."""


if __name__ == "__main__":
    keep_predicted(open_run(Path(sys.argv[1])), OUT)
    scores().to_csv(OUT / "scores.csv", index=False)
