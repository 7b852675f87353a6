"""Localisation of saliency: scores of maps against masks of the lesion or another region, and their values by chance.

Maps and masks are compared at 224x224. A map is resized bilinearly and scaled to [0, 1] again, so that its most
salient pixel is 1; a flat map stays 0 everywhere.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy import ndimage

from selcn.errors import DataError
from selcn.evaluation.intervals import RESAMPLES, Statistic, fold_parts, interval_table
from selcn.evaluation.predictions import BoolArray, FloatArray, check_keys
from selcn.evaluation.ranking import fraction
from selcn.evaluation.subgroups import banded
from selcn.io.tables import read_table

SIDE = 224
SALIENT = 0.5
DILATION = 0.05
"""Side of the square that a mask is dilated by, twice, as a fraction of the width."""
Dilation = Literal["centred", "thesis"]
LOCALISATION = ["iou", "overlap", "pointing", "energy", "iou_auc"]
FAITHFULNESS = ["deletion", "insertion"]
MAP_SCORES = [*LOCALISATION, "flat", "rank_correlation", *FAITHFULNESS]
"""Scores that a file of saliency scores may have; a cell that does not apply is empty."""
NETWORK, CHANCE = "network", "chance"
SALIENCY_KEYS = ["head", "saliency", "against"]
_LEVELS = 256
_ROUNDING = 1e-9  # tolerance for the maximum of an interpolated plateau


def localisation_scores(saliency: np.ndarray, masks: BoolArray, dilation: Dilation = "centred") -> pd.DataFrame:
    """Return scores of maps against masks of the region that they should mark, one row an image.

    With S where a map is above 0.5 and D the mask, dilated by a square of 5 % of the width twice:

    - `iou`: of S and D;
    - `overlap`: share of S inside D; undefined where S is empty;
    - `pointing`: 1 where the map's maximum lies inside the undilated mask, else 0; of several equal ones the share;
    - `energy`: share of the map's sum inside the undilated mask (Wang et al. 2020); undefined for a flat map;
    - `iou_auc`: mean of the IoU with D over the thresholds 0, 1/256 ... 255/256;
    - `flat`: 1 where the map is 0 everywhere, else 0.

    Args:
        saliency: float (N, h, w) in [0, 1].
        masks: bool (N, H, W), none of them empty.
        dilation: `centred` reaches 10 pixels to every side; `thesis` 10 to the left and top, 12 to the right and
            bottom.

    Returns:
        Those columns; NaN where undefined.
    """
    maps, plain = _at_side(saliency), _masks_at_side(masks)
    wide = _dilated(plain, dilation)
    salient = maps > SALIENT
    hit = (salient & wide).sum((1, 2))
    flat = ~maps.any((1, 2))
    peaks = maps >= 1 - _ROUNDING  # of a flat map none
    pointing = np.nan_to_num(fraction((peaks & plain).sum((1, 2)), peaks.sum((1, 2))))
    return pd.DataFrame(
        {
            "iou": fraction(hit, (salient | wide).sum((1, 2))),
            "overlap": fraction(hit, salient.sum((1, 2))),
            "pointing": pointing,
            "energy": fraction((maps * plain).sum((1, 2)), maps.sum((1, 2))),
            "iou_auc": _iou_curve(maps, wide).mean(1),
            "flat": flat.astype(np.float64),
        }
    )


def chance_scores(saliency: np.ndarray, masks: BoolArray, dilation: Dilation = "centred") -> pd.DataFrame:
    """Return the mean scores of the same maps with their pixels shuffled, which depend on the mask's area only.

    `overlap`, `pointing` and `energy` are the exact means; the IoUs are those of the mean overlap.

    Args:
        saliency: float (N, h, w) in [0, 1].
        masks: bool (N, H, W), none of them empty.
        dilation: see `localisation_scores`.

    Returns:
        The columns of `localisation_scores`.
    """
    maps, plain = _at_side(saliency), _masks_at_side(masks)
    share, wide = plain.mean((1, 2)), _dilated(plain, dilation).mean((1, 2))
    above = _levels_above(maps) / SIDE**2
    salient, flat = (maps > SALIENT).mean((1, 2)), ~maps.any((1, 2))
    return pd.DataFrame(
        {
            "iou": _iou_of_shares(salient, wide),
            "overlap": np.where(salient > 0, wide, np.nan),
            "pointing": np.where(flat, 0.0, share),
            "energy": np.where(flat, np.nan, share),
            "iou_auc": _iou_of_shares(above, wide[:, None]).mean(1),
            "flat": flat.astype(np.float64),
        }
    )


def centred_gaussian(height: int, width: int) -> FloatArray:
    """Return a map (height, width) in [0, 1] that marks the middle; its standard deviation is a quarter of each side.

    Args:
        height: in pixels.
        width: in pixels.
    """
    rows, columns = (np.exp(-0.5 * ((np.arange(n) + 0.5) / n - 0.5) ** 2 / 0.25**2) for n in (height, width))
    bell = np.outer(rows, columns)
    scaled: FloatArray = (bell - bell.min()) / (bell.max() - bell.min())
    return scaled


def check_saliency_scores(table: pd.DataFrame, source: str = "saliency scores") -> pd.DataFrame:
    """Check a table of saliency scores, and return it with scores as numbers.

    Args:
        table: one row an image, head, kind of saliency and region (``against``), with the columns `SALIENCY_KEYS`,
            ``image_id, group, fold`` and any of `MAP_SCORES`.
        source: name of the table in errors.

    Raises:
        DataError: a column is missing, or ids, groups or folds are wrong.
    """
    missing = [name for name in SALIENCY_KEYS if name not in table]
    if missing:
        raise DataError(f"{source}: column {', '.join(missing)} is missing; write it with `selcn saliency-eval`")
    for _, rows in table.groupby(SALIENCY_KEYS):
        check_keys(rows, source)
    numbers = {
        name: pd.to_numeric(table[name], errors="coerce") for name in [*MAP_SCORES, "lesion_share"] if name in table
    }
    return table.assign(fold=table["fold"].astype(str), **numbers).reset_index(drop=True)


def read_saliency_scores(path: Path) -> pd.DataFrame:
    """Read and check a file of saliency scores.

    Args:
        path: a table as `check_saliency_scores` takes it.

    Raises:
        DataError: the file cannot be read, or see `check_saliency_scores`.
    """
    return check_saliency_scores(read_table(path), str(path))


def summarise_saliency(scores: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Return mean scores with 95 % intervals by lesion, and paired differences between the network's maps and others.

    Args:
        scores: as `check_saliency_scores` takes them.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Returns:
        Columns ``head, against, saliency, metric, fold_part, value, low, high, images, groups``. Rows whose
        ``saliency`` is ``network - OTHER`` are of paired differences. ``images`` counts those for which the metric is
        defined.

    Raises:
        DataError: see `check_saliency_scores`.
        ConfigError: ``resamples`` is below 1.
    """
    table = check_saliency_scores(scores)
    found = [
        _means(of_kind, resamples, seed).assign(head=str(head), against=str(against), saliency=kind)
        for (head, against), rows in table.groupby(["head", "against"], sort=False)
        for kind, of_kind in _kinds(rows).items()
    ]
    return pd.concat(found, ignore_index=True)[[*SALIENCY_KEYS, *found[0].columns.drop(SALIENCY_KEYS)]]


def summarise_saliency_by(
    scores: pd.DataFrame, columns: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> pd.DataFrame:
    """Return `summarise_saliency` of each subgroup, after columns ``of`` and ``subgroup``.

    Args:
        scores: as `check_saliency_scores` takes them, with the columns to group by.
        columns: what to group by, for example ``diagnosis``; `lesion_share` is cut at its quartiles.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Raises:
        DataError: a column is missing.
    """
    missing = [column for column in columns if column not in scores]
    if missing:
        raise DataError(f"the scores have no column {', '.join(missing)}; they hold {', '.join(scores.columns)}")
    found = [
        summarise_saliency(rows, resamples=resamples, seed=seed).assign(of=column, subgroup=str(name))
        for column in columns
        for name, rows in scores.groupby(banded(scores[column], column), observed=True)
    ]
    return pd.concat(found, ignore_index=True)[["of", "subgroup", *found[0].columns.drop(["of", "subgroup"])]]


def _means(rows: pd.DataFrame, resamples: int, seed: int) -> pd.DataFrame:
    names = [name for name in MAP_SCORES if name in rows and rows[name].notna().any()]
    table = interval_table(rows, lambda of_part: _mean_of_defined(of_part[names]), resamples=resamples, seed=seed)
    parts = fold_parts(rows)
    for row, (metric, part) in enumerate(zip(table["metric"], table["fold_part"], strict=True)):
        defined = parts[part][parts[part][metric].notna()]
        table.loc[row, ["images", "groups"]] = len(defined), defined["group"].nunique()
    return table.assign(**table[["low", "high"]].where(table["groups"] > 1))


def _mean_of_defined(values: pd.DataFrame) -> Statistic:
    defined = values.notna().to_numpy(dtype=np.float64)
    known = values.fillna(0.0).to_numpy(dtype=np.float64)
    return lambda weights: dict(zip(values.columns, fraction(weights @ known, weights @ defined).T, strict=True))


def _kinds(rows: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    """Rows by the kind of saliency, and the network's less each other kind's, image by image."""
    kinds = {str(kind): of_kind.set_index("image_id") for kind, of_kind in rows.groupby("saliency", sort=False)}
    if NETWORK not in kinds:
        return kinds
    network = kinds[NETWORK]
    compared = [name for name in (*LOCALISATION, *FAITHFULNESS) if name in rows]
    differences = {
        f"{NETWORK} - {other}": network[["group", "fold"]].join(network[compared] - of_other[compared])
        for other, of_other in kinds.items()
        if other != NETWORK
    }
    return {**kinds, **differences}


def _at_side(saliency: np.ndarray) -> FloatArray:
    """Maps (N, h, w) as (N, 224, 224), each scaled to [0, 1]."""
    rows, columns = (_bilinear(length) for length in saliency.shape[1:])
    maps = rows @ saliency.astype(np.float64) @ columns.T
    low = maps.min((1, 2), keepdims=True)
    return np.nan_to_num(fraction(maps - low, np.broadcast_to(np.ptp(maps, (1, 2), keepdims=True), maps.shape)))


def _bilinear(length: int) -> FloatArray:
    """Matrix (224, length) that interpolates linearly between pixel centres, and repeats the outermost."""
    middle = np.clip((np.arange(SIDE) + 0.5) * length / SIDE - 0.5, 0, length - 1)
    near: FloatArray = np.maximum(0, 1 - np.abs(middle[:, None] - np.arange(length)))
    return near


def _masks_at_side(masks: BoolArray) -> BoolArray:
    rows, columns = (((np.arange(SIDE) + 0.5) * length / SIDE).astype(int) for length in masks.shape[1:])
    stretched: BoolArray = masks[:, rows[:, None], columns]
    return stretched


def _dilated(masks: BoolArray, dilation: Dilation) -> BoolArray:
    side = math.ceil(DILATION * SIDE) if dilation == "thesis" else int(DILATION * SIDE)
    twice = 2 * (side - 1) + 1  # a square dilated by itself
    # An even square has no middle: the thesis' one reaches a pixel further to the right and below, each of two times.
    shift = 0 if side % 2 else 1
    wide = ndimage.maximum_filter(
        masks.view(np.uint8), size=(1, twice, twice), origin=(0, shift, shift), mode="constant"
    )
    return np.asarray(wide, dtype=np.bool_)


def _levels_above(maps: FloatArray, where: BoolArray | None = None) -> FloatArray:
    """How many pixels of each map lie above 0, 1/256 ... 255/256, (N, 256); of all or of those ``where``."""
    level = np.ceil(maps * _LEVELS).astype(np.int64)  # above k/256 where it is more than k
    number = level + (_LEVELS + 1) * np.arange(len(maps))[:, None, None]
    chosen = number.ravel() if where is None else number[where]
    counts = np.bincount(chosen, minlength=(_LEVELS + 1) * len(maps)).reshape(len(maps), _LEVELS + 1)
    above: FloatArray = counts[:, :0:-1].cumsum(axis=1)[:, ::-1].astype(np.float64)
    return above


def _iou_curve(maps: FloatArray, masks: BoolArray) -> FloatArray:
    hit, salient = _levels_above(maps, masks), _levels_above(maps)
    iou: FloatArray = hit / (salient + masks.sum((1, 2))[:, None] - hit)
    return iou


def _iou_of_shares(one: FloatArray, other: FloatArray) -> FloatArray:
    """IoU of two sets that overlap as much as their shares of all pixels make likely."""
    return one * other / (one + other - one * other)
