"""How well scores and warnings tell images out of distribution from usual ones, with intervals by lesion."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from selcn.errors import DataError
from selcn.evaluation.intervals import RESAMPLES, Statistic, bootstrap
from selcn.evaluation.predictions import BoolArray, FloatArray
from selcn.evaluation.ranking import auc, count_above, fraction, sensitivity_at

OOD_SCORES = ("max_probability", "energy", "distance", "distance_earlier")
"""Columns of scores, each higher for images out of distribution:

- `max_probability`: 1 less the largest class probability (Hendrycks & Gimpel 2017, arXiv:1610.02136);
- `energy`: -log sum exp of the logits (Liu et al. 2020, arXiv:2010.03759);
- `distance`: of the last features from those of training images (after Lee et al. 2018, arXiv:1807.03888);
- `distance_earlier`: the same at the stage before the last.
"""
ANY_WARNING = "any warning"
PASSING = 0.95
"""Share of the usual images that pass at the threshold of `fpr_at_95_tpr`."""
ALL, SEPARATOR = "all", "; "


def ood_table(usual: pd.DataFrame, strange: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Return how well each score tells images out of distribution from usual ones, and how often each warning is given.

    - `auroc`: probability that an image out of distribution has the higher score;
    - `fpr_at_95_tpr`: share of the images out of distribution that pass where at least 95 % of the usual ones do
      (usual images being the positives);
    - `warned`, `false_alarms`: share of the images out of distribution, and of the usual ones, with a warning.

    Args:
        usual: one row an image, with ``group`` (the lesion), ``warnings`` (their names, joined by `SEPARATOR`) and any
            of `OOD_SCORES`, NaN where undefined.
        strange: of the images out of distribution; with ``source`` as well, by which they are told apart.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap, which resamples the lesions of both together.

    Returns:
        Columns ``ood, score, metric, value, low, high, images, groups``: first of all images out of distribution, then
        of each source where there are several, then `false_alarms` of the usual ones, whose ``ood`` is empty.

    Raises:
        DataError: there are no usual images, or none out of distribution.
        ConfigError: ``resamples`` is below 1.
    """
    for name, rows in (("usual images", usual), ("images out of distribution", strange)):
        if rows.empty:
            raise DataError(f"no {name} to compare; give some that can be read")
    found: list[dict[str, Any]] = []
    for name, chosen in _sources(strange):
        both = pd.concat([_keyed(usual, "usual"), _keyed(chosen, "ood")], ignore_index=True)
        is_strange = np.r_[np.zeros(len(usual), bool), np.ones(len(chosen), bool)]
        for score in OOD_SCORES:
            if score in both and (defined := both[score].notna().to_numpy())[is_strange].any():
                statistic = _separation(both[score].to_numpy(np.float64)[defined], is_strange[defined])
                estimates = bootstrap(statistic, both["group"][defined], resamples=resamples, seed=seed)
                counts = _counts(chosen[chosen[score].notna()])
                found += [
                    {"ood": name, "score": score, "metric": metric, **asdict(estimate), **counts}
                    for metric, estimate in estimates.items()
                ]
        found += _warning_rows(name, chosen, "warned", resamples, seed)
    return pd.DataFrame([*found, *_warning_rows("", usual, "false_alarms", resamples, seed)])


def _sources(strange: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    yield ALL, strange
    if "source" in strange and len(set(strange["source"])) > 1:
        for name, rows in strange.groupby("source", sort=False):
            yield str(name) or "not named", rows


def _separation(scores: FloatArray, strange: BoolArray) -> Statistic:
    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        counts = count_above(scores, strange, weights)
        return {"auroc": auc(counts), "fpr_at_95_tpr": 1 - sensitivity_at(counts, PASSING)}

    return statistic


def _warning_rows(name: str, rows: pd.DataFrame, metric: str, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Share of images with any warning, and with each of them."""
    given = [text.split(SEPARATOR) if text else [] for text in rows["warnings"].fillna("").astype(str)]
    names = sorted({one for each in given for one in each})
    flags = {ANY_WARNING: [bool(each) for each in given], **{name: [name in each for each in given] for name in names}}
    values = pd.DataFrame(flags).to_numpy(np.float64)

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        means = fraction(weights @ values, np.repeat(weights.sum(axis=1, keepdims=True), len(flags), axis=1))
        return dict(zip(flags, means.T, strict=True))

    found = bootstrap(statistic, rows["group"], resamples=resamples, seed=seed)
    return [
        {"ood": name, "score": warning, "metric": metric, **asdict(estimate), **_counts(rows)}
        for warning, estimate in found.items()
    ]


def _keyed(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Rows whose groups cannot be those of the other images."""
    return rows.assign(group=kind + ":" + rows["group"].astype(str))


def _counts(rows: pd.DataFrame) -> dict[str, int]:
    return {"images": len(rows), "groups": rows["group"].nunique()}
