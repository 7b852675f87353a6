"""A metric of subgroups (sex, age, site, source, lesion size), and which subgroup has the worst value."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pandas as pd

from selcn.errors import DataError
from selcn.evaluation.classification import hard_metrics_of, metrics_of
from selcn.evaluation.intervals import RESAMPLES, Part, Statistic, bootstrap, fold_parts
from selcn.evaluation.predictions import Predictions
from selcn.evaluation.registry import metric_spec

AGES = (0, 30, 50, 70, np.inf)
SIZES = (0, 0.1, 0.3, 1.0)
UNKNOWN = "unknown"
MIN_SUBGROUP_IMAGES = 20
"""A subgroup of fewer images is not marked as the worst."""


def subgroup_table(
    predictions: Predictions,
    facts: pd.DataFrame,
    columns: Sequence[str],
    *,
    metric: str = "balanced_accuracy",
    part: Part | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return a metric of each subgroup with its 95 % interval, resampled by lesion.

    Balanced accuracy averages over the classes that occur in a subgroup, so that subgroups with different classes are
    not comparable; ``classes`` counts them.

    Args:
        predictions: of any images.
        facts: one row an image with ``image_id`` and the columns, for example a catalog.
        columns: what to group by; `age` is banded (0, 30, 50, 70 years) and so is `lesion_share` (0, 10, 30 %).
        metric: a name of `classification_metrics`.
        part: the subset, `test` or `validation`; None for the test subset or, where there is none, validation.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Returns:
        ``subgroup, of, images, groups, classes, value, low, high, worst``; ``worst`` marks the worst value among
        subgroups of at least 20 images, which is the lowest one unless the metric's direction is "lower".

    Raises:
        DataError: no rows of that subset, a column is missing, or images are not in ``facts``.
        ConfigError: no such metric is registered, or ``resamples`` is below 1.
    """
    parts, lower_is_better = fold_parts(predictions.table), metric_spec(metric).direction == "lower"
    rows = parts.get(next(iter(parts)) if part is None else part)
    if rows is None:
        raise DataError(f"no {part} rows in the predictions; ask for {', '.join(parts)}")
    found = []
    for column, name, chosen in subgroups(rows, facts, columns):
        statistic = _statistic(Predictions(predictions.labels, chosen), metric)
        estimate = bootstrap(statistic, chosen["group"], resamples=resamples, seed=seed)[metric]
        found.append({"subgroup": name, "of": column, **_counts(chosen), **asdict(estimate)})
    table = pd.DataFrame(found)
    counted = table["value"].where(table["images"] >= MIN_SUBGROUP_IMAGES)
    return table.assign(worst=counted.eq(counted.max() if lower_is_better else counted.min()))


def subgroups(
    rows: pd.DataFrame, facts: pd.DataFrame, columns: Sequence[str]
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield the column, the name and the rows of each subgroup.

    Args:
        rows: with ``image_id``, one row an image.
        facts: see `subgroup_table`.
        columns: see `subgroup_table`.

    Yields:
        Of each column its subgroups in alphabetical order; the index of their rows counts ``rows`` from 0.

    Raises:
        DataError: a column is missing, or images are not in ``facts``.
    """
    known = _facts(facts, columns)
    strange = sorted(set(rows["image_id"]) - set(known.index))
    if strange:
        raise DataError(f"image {strange[0]} and {len(strange) - 1} others are not in the catalog; give the right one")
    for column in columns:
        names = banded(known.loc[rows["image_id"], column].reset_index(drop=True), column)
        for name, chosen in rows.reset_index(drop=True).groupby(names.to_numpy(), sort=True):
            yield column, str(name), chosen


def _statistic(predictions: Predictions, metric: str) -> Statistic:
    """The statistic with a metric; that of the predicted classes, a tenth of the work, where it has the metric."""
    statistic = hard_metrics_of(predictions)
    return statistic if metric in statistic(np.ones((1, len(predictions.table)))) else metrics_of(predictions)


def banded(values: "pd.Series[str]", column: str) -> "pd.Series[str]":
    """Return the bands that ages in years or lesion shares lie in; of other columns the values themselves.

    Args:
        values: cells of the column; an empty one, or of numbers one that cannot be read, becomes `unknown`.
        column: its name; `age` and `lesion_share` (a fraction) are banded.
    """
    if column not in ("age", "lesion_share"):
        return values.fillna("").astype(str).replace("", UNKNOWN)
    edges = AGES if column == "age" else SIZES
    scale, unit = (1, " years") if column == "age" else (100, " %")
    names = [
        f"{low * scale:g} and more{unit}" if high in (np.inf, 1.0) else f"{low * scale:g} to {high * scale:g}{unit}"
        for low, high in pairwise(edges)
    ]
    numbers = pd.to_numeric(values, errors="coerce")
    bands = pd.cut(numbers, [*edges[:-1], np.inf], right=False, labels=names)
    return bands.astype(object).fillna(UNKNOWN).astype(str)


def _facts(facts: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    missing = [column for column in columns if column not in facts.columns]
    if missing:
        raise DataError(f"the catalog has no column {', '.join(missing)}; it holds {', '.join(facts.columns)}")
    return facts.set_index("image_id")


def _counts(rows: pd.DataFrame) -> dict[str, int]:
    return {"images": len(rows), "groups": rows["group"].nunique(), "classes": rows["truth"].nunique()}
