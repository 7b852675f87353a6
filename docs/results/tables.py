"""Tables of docs/results.md in Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

SUBSET = {"part": "subset", "fold_part": "subset"}
"""Headings of this page for columns of the files."""
METRICS = [
    "balanced_accuracy",
    "kappa",
    "macro_f1",
    "accuracy",
    "macro_auc",
    "sensitivity_mel",
    "sensitivity_asymmetric",
]


def metric_table(folder: Path, names: list[str], wanted: Sequence[str] = METRICS) -> str:
    """A row a network and subset of `NETWORK.csv`, a column a metric."""
    rows = []
    for name in names:
        table = pd.read_csv(folder / f"{name}.csv")
        for subset, measured in table.groupby("fold_part"):
            known = {str(row["metric"]): row for row in measured.to_dict("records")}
            cells = {metric.replace("_", " "): interval(known[metric]) for metric in wanted if metric in known}
            rows.append({"": name, "subset": subset, "images": int(measured["images"].iloc[0]), **cells})
    return markdown(pd.DataFrame(rows))


def interval(row: Mapping[Any, Any], *, signed: bool = False) -> str:
    """A value with its interval, such as `0.715 (0.690 to 0.741)`."""
    sign = "+" if signed else ""
    return f"{row['value']:{sign}.3f} ({row['low']:{sign}.3f} to {row['high']:{sign}.3f})"


def markdown(table: pd.DataFrame) -> str:
    """A table of text."""
    table = table.rename(columns=SUBSET)
    rows = [list(map(str, table.columns)), ["---"] * len(table.columns), *table.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
