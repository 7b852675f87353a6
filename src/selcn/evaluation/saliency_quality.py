"""What saliency is worth: means of its scores by kind of map, and how much better the network's map is than others."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from selcn.errors import DataError
from selcn.evaluation.intervals import RESAMPLES, Statistic, bootstrap, fold_parts
from selcn.evaluation.localisation import NETWORK
from selcn.evaluation.predictions import BoolArray, FloatArray, check_keys
from selcn.evaluation.ranking import auc, count_above, fraction
from selcn.io.tables import read_table
from selcn.labels import SYMMETRY_BINARY

MEASURED = "measured"
"""The kind of map that is measured, not learned: the lesion's differences from its mirror images."""
ASYMMETRY_AUC = "asymmetry_auc"
_KEYS = ["image_id", "group", "fold", "network", "saliency"]
_FACTS = ["diagnosis", "symmetry"]
_SEPARATOR = "\t"


def read_quality_scores(path: Path) -> pd.DataFrame:
    """Read and check the scores that `selcn saliency-quality` wrote, one row an image, network and kind of map.

    Args:
        path: of the table.

    Raises:
        DataError: the file cannot be read, lacks a column, or ids, groups or folds are wrong.
    """
    return check_quality_scores(read_table(path), str(path))


def check_quality_scores(table: pd.DataFrame, source: str = "saliency scores") -> pd.DataFrame:
    """Check such a table, and return it with its scores as numbers, NaN where undefined.

    Args:
        table: with ``image_id, group, fold, network, saliency`` and scores; ``symmetry`` where that is known.
        source: name of the table in errors.

    Raises:
        DataError: a column is missing, no row has the network's own map, or ids, groups or folds are wrong.
    """
    missing = [name for name in _KEYS if name not in table]
    if missing:
        raise DataError(f"{source}: column {', '.join(missing)} is missing; write it with `selcn saliency-quality`")
    for network, rows in table.groupby("network", sort=False):
        if not (rows["saliency"] == NETWORK).any():
            raise DataError(f"{source}: no row of {network} has the saliency {NETWORK}; write it anew")
        for _, of_kind in rows.groupby("saliency"):
            check_keys(of_kind, source)
    numbers = {name: pd.to_numeric(table[name], errors="coerce") for name in _scored(table)}
    return table.assign(fold=table["fold"].astype(str), **numbers).reset_index(drop=True)


def saliency_quality_table(scores: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Return the mean of each score with its 95 % interval by lesion, and paired differences of the network's map.

    Beside the means, `asymmetry_auc` is the AUC with which a map's difference from its own mirror image
    (`map_asymmetry`) tells asymmetric lesions from those that are symmetric about one axis or two.

    Args:
        scores: as `check_quality_scores` takes them.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap, which resamples lesions, the same ones for all kinds of map.

    Returns:
        Columns ``network, saliency, metric, fold_part, value, low, high, images, groups``. Rows whose ``saliency`` is
        ``network - OTHER`` are of paired differences, on the images for which both are defined, which ``images``
        counts.

    Raises:
        DataError: see `check_quality_scores`.
        ConfigError: ``resamples`` is below 1.
    """
    table = check_quality_scores(scores)
    return pd.DataFrame(
        [
            {"network": network, "saliency": kind, "metric": metric, "fold_part": part, **numbers}
            for network, of_network in table.groupby("network", sort=False)
            for part, rows in fold_parts(of_network).items()
            for (kind, metric), numbers in _estimates(rows, resamples, seed).items()
        ]
    )


def _scored(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table if name not in (*_KEYS, *_FACTS)]


def _estimates(rows: pd.DataFrame, resamples: int, seed: int) -> dict[tuple[str, str], dict[str, object]]:
    """Value, interval and counts by kind of map and metric."""
    kinds = {str(kind): of_kind.set_index("image_id") for kind, of_kind in rows.groupby("saliency", sort=False)}
    first = kinds[NETWORK]
    scores = {kind: of_kind.reindex(first.index) for kind, of_kind in kinds.items()}
    names, groups = _scored(rows), first["group"]
    values = {kind: of_kind[names].to_numpy(dtype=np.float64) for kind, of_kind in scores.items()}
    means = values | {f"{NETWORK} - {kind}": values[NETWORK] - one for kind, one in values.items() if kind != NETWORK}
    ranked = _ranked(scores, first)
    found = bootstrap(_statistic(means, names, ranked), groups, resamples=resamples, seed=seed)
    estimates: dict[tuple[str, str], dict[str, object]] = {}
    for key, estimate in found.items():
        kind, metric = key.split(_SEPARATOR)
        defined = ranked[kind][1] if metric == ASYMMETRY_AUC else ~np.isnan(means[kind][:, names.index(metric)])
        if not np.isnan(estimate.value):
            count, lesions = int(defined.sum()), groups[defined].nunique()
            low, high = (estimate.low, estimate.high) if lesions > 1 else (np.nan, np.nan)
            counts: dict[str, object] = {"images": count, "groups": lesions}
            estimates[kind, metric] = {"value": estimate.value, "low": low, "high": high, **counts}
    return estimates


Ranked = dict[str, tuple[list[FloatArray], BoolArray, BoolArray]]


def _ranked(scores: dict[str, pd.DataFrame], first: pd.DataFrame) -> Ranked:
    """By kind of map: scores that are ranked (two for a difference), where they are defined, and who is positive."""
    if "map_asymmetry" not in first or "symmetry" not in first:
        return {}
    truth = first["symmetry"].fillna("").astype(str).map(SYMMETRY_BINARY.class_of)
    known, positive = (truth != "").to_numpy(), (truth == "asymmetric").to_numpy()
    values = {kind: of_kind["map_asymmetry"].to_numpy(dtype=np.float64) for kind, of_kind in scores.items()}
    pairs = {kind: [one] for kind, one in values.items()}
    pairs |= {f"{NETWORK} - {kind}": [values[NETWORK], one] for kind, one in values.items() if kind != NETWORK}
    ranked = {kind: (ones, known & ~np.isnan(np.sum(ones, axis=0)), positive) for kind, ones in pairs.items()}
    return {kind: one for kind, one in ranked.items() if one[1].any()}


def _statistic(means: dict[str, FloatArray], names: Sequence[str], ranked: Ranked) -> Statistic:
    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        found: dict[str, FloatArray] = {}
        for kind, values in means.items():
            defined = ~np.isnan(values)
            averages = fraction(weights @ np.where(defined, values, 0), weights @ defined.astype(np.float64))
            found |= {f"{kind}{_SEPARATOR}{name}": of_name for name, of_name in zip(names, averages.T, strict=True)}
        for kind, (ones, defined, positive) in ranked.items():
            areas = [auc(count_above(one[defined], positive[defined], weights[:, defined])) for one in ones]
            found[f"{kind}{_SEPARATOR}{ASYMMETRY_AUC}"] = areas[0] if len(areas) == 1 else areas[0] - areas[1]
        return found

    return statistic
