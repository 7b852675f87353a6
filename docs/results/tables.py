"""Tables of docs/results.md in Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from selcn.evaluation import Estimate, verdict

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
    return markdown(pd.DataFrame(rows).fillna(""))


def difference_table(folder: Path, bounds: float | None = None, file: str = "comparison.csv") -> str:
    """The paired differences of a file, and in words those of balanced accuracy on the test subset."""
    table = pd.read_csv(folder / file)
    shown = table[table["metric"].isin(METRICS)]
    rows = shown.assign(difference=[interval(row, signed=True) for row in shown.to_dict("records")])
    rows["metric"] = rows["metric"].str.replace("_", " ")
    wide = rows.pivot_table(index=["b", "a", "fold_part"], columns="metric", values="difference", aggfunc="first")
    wide = wide[[m.replace("_", " ") for m in METRICS if m.replace("_", " ") in wide.columns]].reset_index()
    test = table[(table["metric"] == "balanced_accuracy") & (table["fold_part"] == "test")]
    words = [_in_words(row, bounds) for row in test.to_dict("records")]
    return markdown(wide.rename(columns={"b": "", "a": "minus"})) + "\n\n" + " ".join(words)


def _in_words(row: Mapping[Any, Any], bounds: float | None) -> str:
    estimate = Estimate(row["value"], row["low"], row["high"])
    found = verdict(estimate, "balanced_accuracy", str(row["a"]), str(row["b"]), bounds=bounds)
    return f"{row['b']} against {row['a']} on the test subset, {found}."


def stored(path: Path, file: str, metric: str) -> dict[Any, Any]:
    """The row of a metric in a table of several files, such as `scores.csv`."""
    table = pd.read_csv(path)
    return table[(table["file"] == file) & (table["metric"] == metric)].iloc[0].to_dict()


def told(rows: Mapping[str, Mapping[Any, Any]]) -> str:
    """Differences with their intervals in words, by metric."""
    return ", ".join(f"{metric.replace('_', ' ')} {interval(row, signed=True)}" for metric, row in rows.items())


def interval(row: Mapping[Any, Any], *, signed: bool = False) -> str:
    """A value with its interval, such as `0.715 (0.690 to 0.741)`."""
    sign = "+" if signed else ""
    return f"{row['value']:{sign}.3f} ({row['low']:{sign}.3f} to {row['high']:{sign}.3f})"


def between(text: str, begin: str, end: str, content: str) -> str:
    """A text with other content between two marks, where it has them."""
    if begin not in text:
        return text
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def markdown(table: pd.DataFrame) -> str:
    """A table of text."""
    table = table.rename(columns=SUBSET)
    rows = [list(map(str, table.columns)), ["---"] * len(table.columns), *table.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
