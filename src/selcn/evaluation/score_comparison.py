"""Whether one network's masks are better than another's on the same images; and the comparison of files of any kind."""

from pathlib import Path

import pandas as pd

from selcn.errors import ConfigError, DataError
from selcn.evaluation.comparison import aligned_rows, compare
from selcn.evaluation.evaluate import hard_label_columns
from selcn.evaluation.further import Further
from selcn.evaluation.intervals import RESAMPLES, Statistic, fold_parts, interval_table
from selcn.evaluation.predictions import FloatArray, check_scores, read_scores
from selcn.evaluation.segmentation import mean_scores_of
from selcn.evaluation.significance import exchange_test
from selcn.io.tables import read_table
from selcn.labels import LabelSet

_PROBABILITIES, _MASKS = "class probabilities", "scores of masks"


def compare_files(
    a: Path,
    b: Path,
    *,
    labels: LabelSet | None = None,
    further: Further | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the paired differences B - A of two files of one kind: class probabilities, or scores of masks.

    Args:
        a: a file.
        b: another of the same images.
        labels: of class probabilities, see :func:`~selcn.evaluation.comparison.compare`.
        further: of class probabilities, see :func:`~selcn.evaluation.comparison.compare`.
        resamples: number of bootstrap resamples and of permutations, at least 1.
        seed: of the bootstrap and of the permutations.

    Returns:
        Columns of :func:`~selcn.evaluation.comparison.compare` or of :func:`compare_scores`.

    Raises:
        DataError: a file is wrong or of another kind, or the two differ; see these functions.
        ConfigError: ``labels`` or ``further`` are given for masks, or see these functions.
    """
    kinds = [_kind(path) for path in (a, b)]
    if kinds[0] != kinds[1]:
        raise DataError(f"{a} holds {kinds[0]}, {b} {kinds[1]}; compare like with like")
    if kinds[0] != _MASKS:
        return compare(a, b, labels=labels, further=further, resamples=resamples, seed=seed)
    if labels is not None or further:
        raise ConfigError(f"{a}: holds scores of masks, which have no classes, costs or prevalence; leave them out")
    return compare_scores(a, b, resamples=resamples, seed=seed)


def compare_scores(
    a: Path | pd.DataFrame, b: Path | pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Return the paired difference B - A of every mean score of masks that both have, with a test of it.

    Both means are of the same resampled lesions; ``p`` is of a permutation test that exchanges A and B lesion by
    lesion.

    Args:
        a: a file of scores, or a table as `read_scores` gives it.
        b: another of the same images, in any order.
        resamples: number of bootstrap resamples and of permutations, at least 1.
        seed: of the bootstrap and of the permutations.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups, p``.

    Raises:
        DataError: a file is wrong, or the two differ in images, groups or folds.
        ConfigError: ``resamples`` is below 1.

    Example:
        >>> keys = pd.DataFrame({"image_id": ["a", "b"], "group": ["one", "two"], "fold": "test"})
        >>> scores = dict.fromkeys(["jaccard", "sensitivity", "specificity", "accuracy"], 0.9)
        >>> found = compare_scores(keys.assign(dice=[0.5, 0.7], **scores), keys.assign(dice=[0.8, 0.8], **scores))
        >>> found.set_index("metric").loc["dice", ["value", "low", "high"]].round(3).tolist()
        [0.2, 0.1, 0.3]
    """
    first, other = (check_scores(one) if isinstance(one, pd.DataFrame) else read_scores(one) for one in (a, b))
    second = aligned_rows(other, first, ("group", "fold"))
    shared = [name for name in first if name in second]
    first, second = first[shared], second[shared]
    table = interval_table(
        first, lambda rows: _difference(first.loc[rows.index], second.loc[rows.index]), resamples=resamples, seed=seed
    )
    p = {
        part: exchange_test(
            [mean_scores_of(pd.concat([rows, second.loc[rows.index]], ignore_index=True))],
            rows["group"],
            permutations=resamples,
            seed=seed,
        )
        for part, rows in fold_parts(first).items()
    }
    return table.assign(p=[p[part][name] for part, name in zip(table["fold_part"], table["metric"], strict=True)])


def _difference(first: pd.DataFrame, second: pd.DataFrame) -> Statistic:
    of_a, of_b = mean_scores_of(first), mean_scores_of(second)

    def difference(weights: FloatArray) -> dict[str, FloatArray]:
        values_a, values_b = of_a(weights), of_b(weights)
        return {metric: values_b[metric] - values_a[metric] for metric in values_a}

    return difference


def _kind(path: Path) -> str:
    """What a file holds.

    Raises:
        DataError: what cannot be compared.
    """
    table = read_table(path)
    if "dice" in table:
        return _MASKS
    for found, what in (("saliency" in table, "scores of saliency"), (hard_label_columns(table), "hard labels")):
        if found:
            raise DataError(
                f"{path}: holds {what}, which are not compared; give class probabilities or scores of masks"
            )
    return _PROBABILITIES
