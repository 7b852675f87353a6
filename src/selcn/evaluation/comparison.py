"""Whether one classifier is better than another on the same images."""

from pathlib import Path

import numpy as np
import pandas as pd

from selcn.errors import DataError
from selcn.evaluation.classification import answers_of, metrics_of
from selcn.evaluation.intervals import RESAMPLES, Estimate, Statistic, fold_parts, interval_table
from selcn.evaluation.predictions import FloatArray, Predictions, read_predictions
from selcn.evaluation.significance import mcnemar, permutation_test

LESS_IS_BETTER = frozenset({"ece", "brier", "nll"})
_NAMED_IMAGES = 3


def compare(
    a: Path | str | Predictions, b: Path | str | Predictions, *, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """The paired difference B - A of every metric, both scored on the same resampled lesions, and tests of it.

    ``p`` is that of a permutation by lesion, for metrics that read no more than the likeliest class; ``p_mcnemar``, of
    accuracy alone, that of McNemar's exact test.

    Args:
        a: a prediction file, or what was read from one.
        b: another of the same images, in any order.
        resamples: number of bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups, p, p_mcnemar``; positive values favour B, but
        for those in `LESS_IS_BETTER`.

    Raises:
        DataError: a file is wrong, or the two differ in classes, images, truths, groups or folds.
        ConfigError: ``resamples`` is below 1.

    Example:
        >>> a = pd.DataFrame({"asymmetric": [0.9, 0.6, 0.3], "symmetric": [0.1, 0.4, 0.7]})
        >>> a = a.assign(image_id=["a", "b", "c"], group=["one", "one", "two"], fold="test")
        >>> a = a.assign(truth=["asymmetric", "symmetric", "symmetric"])
        >>> b = a.assign(asymmetric=[0.9, 0.2, 0.3], symmetric=[0.1, 0.8, 0.7])
        >>> figures = compare(Predictions.of(a), Predictions.of(b), resamples=100).set_index("metric")
        >>> figures.loc["accuracy", ["value", "p_mcnemar"]].round(4).tolist()
        [0.3333, 1.0]
    """
    first, second = (source if isinstance(source, Predictions) else read_predictions(source) for source in (a, b))
    second = _aligned(second, first)

    def difference_on(part: pd.DataFrame) -> Statistic:
        of_a = metrics_of(Predictions(first.classes, part))
        of_b = metrics_of(Predictions(first.classes, second.table.loc[part.index]))

        def difference(weights: FloatArray) -> dict[str, FloatArray]:
            values_a, values_b = of_a(weights), of_b(weights)
            return {metric: values_b[metric] - values_a[metric] for metric in values_a}

        return difference

    table = interval_table(first.table, difference_on, resamples=resamples, seed=seed)
    tests = {part: _tests(first, second, rows.index, resamples, seed) for part, rows in fold_parts(first.table).items()}
    keys = list(zip(table["fold_part"], table["metric"], strict=True))
    p_values = [tests[part][0].get(metric, np.nan) for part, metric in keys]
    mcnemars = [tests[part][1] if metric == "accuracy" else np.nan for part, metric in keys]
    return table.assign(p=p_values, p_mcnemar=mcnemars)


def _tests(
    first: Predictions, second: Predictions, rows: pd.Index, permutations: int, seed: int
) -> tuple[dict[str, float], float]:
    """P of each metric by permutation, and McNemar's, on some rows."""
    a, b = (Predictions(one.classes, one.table.loc[rows]) for one in (first, second))
    right_a, right_b = (one.probabilities.argmax(axis=1) == one.truth for one in (a, b))
    return permutation_test(a, b, answers_of, permutations=permutations, seed=seed), mcnemar(right_a, right_b)


def verdict(difference: Estimate, metric: str, a: str = "A", b: str = "B") -> str:
    """Say in one sentence what the difference ``b`` - ``a`` of a metric shows, in percentage points."""
    value, low, high = (100 * fraction for fraction in (difference.value, difference.low, difference.high))
    if np.isnan([value, low, high]).any():
        return f"{metric}: no verdict; the difference or its interval is undefined on these images"
    if low <= 0 <= high:
        return f"{metric}: no difference is shown; the interval allows {low:+z.1f} to {high:+z.1f} points"
    higher, (low, high) = (b, (low, high)) if low > 0 else (a, (-high, -low))
    better = {a: b, b: a}[higher] if metric.replace(" ", "_") in LESS_IS_BETTER else higher
    return f"{metric}: {better} is better by {abs(value):.1f} points (95 % interval {low:.1f} to {high:.1f})"


def _aligned(b: Predictions, a: Predictions) -> Predictions:
    """B's rows in A's order, after making sure that both speak of the same images."""
    if a.classes != b.classes:
        raise DataError(f"A has classes {', '.join(a.classes)}, B {', '.join(b.classes)}; compare like with like")
    strangers = set(a.table["image_id"]) ^ set(b.table["image_id"])
    _refuse_any(sorted(strangers), "is in only one of A and B", "predict the same images with both")
    table = b.table.set_index("image_id").loc[a.table["image_id"]].reset_index()
    for column in ("truth", "group", "fold"):
        differs = (table[column] != a.table[column]).to_numpy()
        _refuse_any(list(table["image_id"][differs]), f"has another {column} in A than in B", "use one split for both")
    return Predictions(b.classes, table)


def _refuse_any(image_ids: list[str], problem: str, remedy: str) -> None:
    if image_ids:
        more = f" (and {len(image_ids) - _NAMED_IMAGES} more)" if len(image_ids) > _NAMED_IMAGES else ""
        raise DataError(f"{', '.join(image_ids[:_NAMED_IMAGES])}{more} {problem}; {remedy}")
