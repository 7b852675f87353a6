"""Files of mere answers, without probabilities: `image_id, truth, prediction`, or several prediction columns."""

from pathlib import Path

import numpy as np
import pandas as pd

from selcn.errors import DataError
from selcn.evaluation.predictions import CLASS_SETS, Predictions
from selcn.io.tables import read_table
from selcn.labels import TEST

PREDICTION = "prediction"


def answer_columns(table: pd.DataFrame) -> list[str]:
    """Columns that hold answers: those whose name starts with `prediction`."""
    return [name for name in table.columns if name.lower().startswith(PREDICTION)]


def read_answers(path: Path) -> dict[str, Predictions]:
    """Read answers as probabilities of 0 and 1, by the name of their column.

    Where there is no column `group`, each image is its own; where there is no `fold`, all are of the test part.

    Raises:
        DataError: a column is missing, or names are of no known set of classes; see also `Predictions.of`.
    """
    table = read_table(path, ["image_id", "truth"])
    columns = answer_columns(table)
    named = set(table["truth"]).union(*(table[column] for column in columns))
    classes = next((names for names in CLASS_SETS if named.issubset(names)), None)
    if classes is None:
        nearest = max(CLASS_SETS, key=lambda names: len(named.intersection(names)))
        strange = ", ".join(sorted(map(repr, named.difference(nearest)))[:5])
        raise DataError(f"{path}: unknown class {strange}; write {', '.join(nearest)}")
    keys = pd.DataFrame({"image_id": table["image_id"], "truth": table["truth"]})
    keys["group"] = table["group"] if "group" in table.columns else table["image_id"]
    keys["fold"] = table["fold"] if "fold" in table.columns else TEST
    return {column: Predictions.of(_certain(keys, table[column], classes), f"{path}") for column in columns}


def _certain(keys: pd.DataFrame, answers: "pd.Series[str]", classes: list[str]) -> pd.DataFrame:
    certain = np.asarray(answers)[:, None] == np.asarray(classes)
    return pd.concat([keys, pd.DataFrame(certain.astype(np.float64), index=keys.index, columns=classes)], axis=1)
