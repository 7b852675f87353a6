"""A metric of subgroups (sex, age, site, lesion size, skin, artefacts), and how far the worst one lags behind all."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from selcn.errors import DataError
from selcn.evaluation.classification import hard_metrics_of, metrics_of
from selcn.evaluation.intervals import RESAMPLES, Part, Statistic, bootstrap, fold_parts
from selcn.evaluation.predictions import FloatArray, Predictions
from selcn.evaluation.registry import metric_spec
from selcn.evaluation.segmentation import mean_scores_of

AGES = (0, 30, 50, 70, np.inf)
QUANTILES = (0.25, 0.5, 0.75)
"""At which lesion shares are cut, of the images that are grouped."""
ANGLES = {"dark": -30, "brown": 10, "tan": 28, "intermediate": 41, "light": 55, "very light": 90}
"""Largest individual typology angle of each group, in degrees (Del Bino & Bernerd 2013)."""
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
    """Return a metric of each subgroup and its gap to all images, with 95 % intervals by lesion.

    Balanced accuracy averages over the classes that occur in a subgroup, so that values of subgroups with different
    classes are not comparable; ``classes`` counts them. Gaps are: a subgroup is compared with all images of the classes
    that occur in it, its own included.

    Args:
        predictions: of any images.
        facts: one row an image with ``image_id`` and the columns, for example a catalog.
        columns: what to group by; `age`, `lesion_share` and `ita` are banded, see `banded`.
        metric: a name of `classification_metrics`.
        part: the subset, `test` or `validation`; None for the test subset or, where there is none, validation.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Returns:
        ``subgroup, of, images, groups, classes, value, low, high, gap, gap_low, gap_high, worst``. The gap is how much
        worse the subgroup is, paired on the same resampled lesions. ``worst`` marks the worst value among subgroups of
        at least 20 images, which is the lowest one unless the metric's direction is "lower"; `unknown` is none.

    Raises:
        DataError: no rows of that subset, a column is missing, or images are not in ``facts``.
        ConfigError: no such metric is registered, or ``resamples`` is below 1.
    """
    rows = _subset(predictions.table, part)

    def statistic_of(chosen: pd.DataFrame) -> Statistic:
        return _statistic(Predictions(predictions.labels, chosen), metric)

    return _table(rows, facts, columns, statistic_of, metric, resamples, seed)


def score_subgroup_table(
    scores: pd.DataFrame,
    facts: pd.DataFrame,
    columns: Sequence[str],
    *,
    metric: str = "dice",
    part: Part | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return `subgroup_table` of a mean score of masks.

    Args:
        scores: per-image segmentation scores, as `read_scores` gives them.
        facts: see `subgroup_table`.
        columns: see `subgroup_table`.
        metric: a score, such as `dice`.
        part: see `subgroup_table`.
        resamples: see `subgroup_table`.
        seed: see `subgroup_table`.

    Raises:
        DataError: see `subgroup_table`.
        ConfigError: see `subgroup_table`.
    """
    return _table(_subset(scores, part), facts, columns, mean_scores_of, metric, resamples, seed)


def worst_gap(table: pd.DataFrame) -> "pd.Series | None":
    """Return the row of the subgroup that lags farthest behind all images; None where no subgroup is large enough.

    `unknown` is none. The subgroup was chosen for its gap, which therefore looks larger than on other images.

    Args:
        table: of `subgroup_table` or `score_subgroup_table`.
    """
    if table.empty:
        return None
    large = table[_may_be_worst(table) & table["gap"].notna()]
    return None if large.empty else large.sort_values("gap", ascending=False, kind="stable").iloc[0]


def _subset(table: pd.DataFrame, part: Part | None) -> pd.DataFrame:
    parts = fold_parts(table)
    rows = parts.get(next(iter(parts)) if part is None else part)
    if rows is None:
        raise DataError(f"no {part} rows in the predictions; ask for {', '.join(parts)}")
    return rows.reset_index(drop=True)


def _table(
    rows: pd.DataFrame,
    facts: pd.DataFrame,
    columns: Sequence[str],
    statistic_of: Callable[[pd.DataFrame], Statistic],
    metric: str,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    lower_is_better = metric_spec(metric).direction == "lower"
    found: list[dict[str, Any]] = []
    pieces: list[pd.DataFrame] = []
    for column, name, chosen in subgroups(rows, facts, columns):
        estimate = bootstrap(statistic_of(chosen), chosen["group"], resamples=resamples, seed=seed)[metric]
        found.append({"subgroup": name, "of": column, **_counts(chosen), **asdict(estimate)})
        pieces.append(chosen)
    table = pd.DataFrame(found)
    sign = -1.0 if lower_is_better else 1.0
    gaps = bootstrap(_gaps(rows, pieces, statistic_of, metric, sign), rows["group"], resamples=resamples, seed=seed)
    for end, key in (("", "value"), ("_low", "low"), ("_high", "high")):
        table[f"gap{end}"] = [getattr(gaps[str(number)], key) for number in range(len(pieces))]
    ends = ["gap_low", "gap_high"]
    table[ends] = table[ends].where(table["low"].notna())  # that of the others alone is none of the difference
    counted = table["value"].where(_may_be_worst(table))
    return table.assign(worst=counted.eq(counted.max() if lower_is_better else counted.min()))


def _may_be_worst(table: pd.DataFrame) -> "pd.Series[bool]":
    return (table["images"] >= MIN_SUBGROUP_IMAGES) & (table["subgroup"] != UNKNOWN)


def _gaps(
    rows: pd.DataFrame,
    pieces: Sequence[pd.DataFrame],
    statistic_of: Callable[[pd.DataFrame], Statistic],
    metric: str,
    sign: float,
) -> Statistic:
    """The statistic of how much worse each piece is than all rows of its classes, by its number."""
    alike = [rows[rows["truth"].isin(own["truth"])] if "truth" in rows else rows for own in pieces]
    values_of = [[_where_weighted(statistic_of(one), one, metric) for one in both] for both in (alike, pieces)]

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        pairs = zip(*values_of, strict=True)
        return {str(number): sign * (whole(weights) - own(weights)) for number, (whole, own) in enumerate(pairs)}

    return statistic


def _where_weighted(statistic: Statistic, rows: pd.DataFrame, metric: str) -> Callable[[FloatArray], FloatArray]:
    """From weights of all rows to a metric of some of them, NaN where none of those has any weight."""
    places = rows.index.to_numpy()

    def values_of(weights: FloatArray) -> FloatArray:
        own = weights[:, places]
        values, some = np.full(len(own), np.nan), own.sum(axis=1) > 0
        if some.any():
            values[some] = statistic(own[some])[metric]
        return values

    return values_of


def subgroups(
    rows: pd.DataFrame, facts: pd.DataFrame, columns: Sequence[str]
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield the column, the name and the rows of each subgroup.

    Args:
        rows: with ``image_id``, one row an image.
        facts: see `subgroup_table`.
        columns: see `subgroup_table`.

    Yields:
        Of each column its subgroups in the order of `banded`; the index of their rows counts ``rows`` from 0.

    Raises:
        DataError: a column is missing, or images are not in ``facts``.
    """
    known = _facts(facts, columns)
    strange = sorted(set(rows["image_id"]) - set(known.index))
    if strange:
        raise DataError(f"image {strange[0]} and {len(strange) - 1} others are not in the catalog; give the right one")
    for column in columns:
        names = banded(known.loc[rows["image_id"], column].reset_index(drop=True), column)
        for name, chosen in rows.reset_index(drop=True).groupby(names, sort=True, observed=True):
            yield column, str(name), chosen


def _statistic(predictions: Predictions, metric: str) -> Statistic:
    """The statistic with a metric; that of the predicted classes, a tenth of the work, where it has the metric."""
    statistic = hard_metrics_of(predictions)
    return statistic if metric in statistic(np.ones((1, len(predictions.table)))) else metrics_of(predictions)


def banded(values: "pd.Series[str]", column: str) -> pd.Series:
    """Return the bands that ages, lesion shares or typology angles lie in; of other columns the values themselves.

    Args:
        values: cells of the column; an empty one, or of numbers one that cannot be read, becomes `unknown`.
        column: its name; `age` (years) is cut at 30, 50 and 70, `lesion_share` (a fraction) at the quartiles of these
            values, `ita` (degrees) at `ANGLES`.

    Returns:
        Categories, bands in their order and others in that of the alphabet, `unknown` last.
    """
    if column not in ("age", "lesion_share", "ita"):
        words = values.astype(object).where(values.notna(), "").astype(str).replace("", UNKNOWN)
        return words.astype(pd.CategoricalDtype(_unknown_last(sorted(set(words)))))
    # Shares in percent, as they are named: a product that is rounded must not make one name of two cuts.
    numbers = pd.to_numeric(values, errors="coerce") * (100 if column == "lesion_share" else 1)
    edges, names = _bands(numbers, column)
    # An age belongs to the band that it begins, a share and an angle to the band that it ends.
    place = np.searchsorted(edges, numbers, side="right" if column == "age" else "left")
    bands = pd.Series(np.asarray(names, dtype=object)[place], index=values.index).where(numbers.notna(), UNKNOWN)
    return bands.astype(pd.CategoricalDtype(_unknown_last(names)))


def _bands(numbers: "pd.Series[float]", column: str) -> tuple[FloatArray, list[str]]:
    """Where to cut, and the names of the bands between the cuts; shares are in percent."""
    if column == "age":
        *closed, (last, _) = pairwise(AGES)
        ages = [*(f"{low:g} to {high:g} years" for low, high in closed), f"{last:g} and more years"]
        return np.asarray(AGES[1:-1], dtype=np.float64), ages
    if column == "ita":
        ends = list(ANGLES.values())
        within = [
            f"up to {ends[0]}°",
            *(f"{low}° to {high}°" for low, high in pairwise(ends[:-1])),
            f"over {ends[-2]}°",
        ]
        return np.asarray(ends[:-1], dtype=np.float64), [f"{n} ({w})" for n, w in zip(ANGLES, within, strict=True)]
    known = numbers.dropna()
    cuts = np.unique(np.quantile(known, QUANTILES)) if len(known) else np.zeros(1)
    shown = _shown_apart(cuts)
    between = [f"{low} to {high} %" for low, high in pairwise(shown)]
    return cuts, [f"up to {shown[0]} %", *between, f"over {shown[-1]} %"]


def _shown_apart(numbers: FloatArray) -> list[str]:
    """Numbers, all different, with three digits or as many more as tell them apart; 17 do for any."""
    shown = ([f"{number:.{digits}g}" for number in numbers] for digits in range(3, 18))
    return next(one for one in shown if len(set(one)) == len(one))


def _unknown_last(names: Sequence[str]) -> list[str]:
    return [*(name for name in names if name != UNKNOWN), UNKNOWN]


def _facts(facts: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    missing = [column for column in columns if column not in facts.columns]
    if missing:
        raise DataError(f"the catalog has no column {', '.join(missing)}; it holds {', '.join(facts.columns)}")
    return facts.set_index("image_id")


def _counts(rows: pd.DataFrame) -> dict[str, int]:
    classes = {"classes": rows["truth"].nunique()} if "truth" in rows else {}
    return {"images": len(rows), "groups": rows["group"].nunique(), **classes}
