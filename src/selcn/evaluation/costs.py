"""Costs of decisions: a table read from a file, and the expected cost of predicted classes (Ferrer 2022)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.errors import DataError
from selcn.evaluation.predictions import FloatArray, IntArray
from selcn.evaluation.ranking import fraction
from selcn.io.tables import read_table


@dataclass(frozen=True, eq=False)
class CostTable:
    """What each decision costs where each class is true; made by :func:`read_costs`.

    Attributes:
        classes: names of the C classes, in any order.
        values: not negative (C, C); rows are the truth, columns the decision, both in the order of ``classes``.
        source: its name in errors.
    """

    classes: tuple[str, ...]
    values: FloatArray
    source: str = "costs"

    def of(self, names: Sequence[str]) -> FloatArray:
        """Return the costs (C, C) in the order of a label set.

        Args:
            names: the classes of the label set.

        Raises:
            DataError: the table is of other classes.
        """
        if set(names) != set(self.classes):
            problem = f"costs of {', '.join(self.classes)}, but the predictions are of {', '.join(names)}"
            raise DataError(f"{self.source}: {problem}; give a row and a column for each of these")
        order = [self.classes.index(name) for name in names]
        return self.values[np.ix_(order, order)]


def read_costs(path: Path) -> CostTable:
    """Read a table of costs.

    Args:
        path: a file with the column `truth` and one column for each class as the decision; one row a true class.

    Raises:
        DataError: the file cannot be read, rows and columns are not the same classes, or a cost is not a number of 0 or
            more.
    """
    table = read_table(path, ["truth"])
    rows, classes = table["truth"].tolist(), [name for name in table.columns if name != "truth"]
    if len(rows) != len(set(rows)) or set(rows) != set(classes):
        problem = f"rows are {', '.join(rows) or 'none'}, columns {', '.join(classes) or 'none'}"
        raise DataError(f"{path}: {problem}; give one row and one column for each class, of the same names")
    numbers = table.set_index("truth").loc[classes].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.argwhere(~(np.isfinite(numbers) & (numbers >= 0)))
    if len(bad):
        truth, decision = (classes[number] for number in bad[0])
        raise DataError(f"{path}: the cost of {decision} where {truth} is true is not a number of 0 or more; write one")
    return CostTable(tuple(classes), numbers, str(path))


def cost_metrics(
    truth: IntArray,
    probabilities: FloatArray,
    predicted: IntArray,
    costs: FloatArray,
    weights: FloatArray,
    *,
    hard: bool,
) -> dict[str, FloatArray]:
    """Return expected costs of N images under B weightings (Ferrer 2022, arXiv:2209.05355).

    - `expected_cost`: mean over images of cost[truth, predicted class];
    - `expected_cost_normalised`: that over the least that one and the same decision for every image costs; NaN where
      that costs nothing;
    - `expected_cost_bayes`: of the decision j of least sum over classes i of p_i cost[i, j], the first on a tie.

    Args:
        truth: class numbers (N,).
        probabilities: (N, C).
        predicted: numbers of the predicted classes (N,).
        costs: (C, C), rows the truth, columns the decision.
        weights: not negative, (B, N).
        hard: whether to leave out the last, because probabilities are hard labels.

    Returns:
        Metric names to values (B,).
    """
    whole = weights.sum(axis=1)
    expected = fraction(weights @ costs[truth, predicted], whole)
    constant = (weights @ costs[truth]).min(axis=1) / whole
    metrics = {"expected_cost": expected, "expected_cost_normalised": fraction(expected, constant)}
    if hard:
        return metrics
    cheapest = (probabilities @ costs).argmin(axis=1)
    return metrics | {"expected_cost_bayes": fraction(weights @ costs[truth, cheapest], whole)}
