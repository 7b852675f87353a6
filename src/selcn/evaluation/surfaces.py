"""Scores of masks by the distance between their borders, at a tolerance: NSD, boundary IoU, ASSD, MASD."""

import numpy as np
import pandas as pd
from scipy import ndimage

from selcn.errors import ConfigError
from selcn.evaluation.intervals import RESAMPLES, Statistic, fold_parts, interval_table
from selcn.evaluation.predictions import BoolArray, FloatArray, check_keys
from selcn.evaluation.ranking import fraction
from selcn.evaluation.segmentation import BorderDistances, border_of, within


def surface_scores(
    truth: BoolArray, prediction: BoolArray, *, tolerance: float, spacing: float | None = None
) -> pd.DataFrame:
    """Return scores of borders, one row an image; a border is every pixel with a 4-neighbour outside mask or image.

    With border points S of the truth, P of the prediction and the distance d(p, S) of a point to the nearest of S:

    - `nsd`: share of all points of both borders within the tolerance of the other (Nikolov et al. 2021);
    - `boundary_iou`: IoU of what of either mask lies within the tolerance of its outside (Cheng et al. 2021);
    - `assd`: mean of the distances of all points of both borders to the other;
    - `masd`: mean of the two borders' mean distances.

    Two empty masks have no score (NaN). If one mask is empty, NSD and boundary IoU are 0, and there is no distance
    (NaN).

    Args:
        truth: lesion masks, bool (N, H, W).
        prediction: predicted masks of the same shape, bool.
        tolerance: in pixels or, with ``spacing``, in millimetres; at least one pixel.
        spacing: millimetres from pixel to pixel, above 0; None for distances in pixels.

    Returns:
        Columns ``nsd, boundary_iou, assd, masd``; with ``spacing``, the last two are ``assd_mm, masd_mm``.

    Raises:
        ConfigError: the spacing is not above 0, or the tolerance is below one pixel.
    """
    pixels, unit = in_pixels(tolerance, spacing), spacing or 1.0
    borders = border_of(truth), border_of(prediction)
    ways = BorderDistances(borders[0], borders[1]), BorderDistances(borders[1], borders[0])
    found = np.sum([way.count_within(pixels) for way in ways], axis=0)
    points = [way.count.astype(np.float64) for way in ways]
    one_empty = (points[0] > 0) ^ (points[1] > 0)
    both = np.where(one_empty, 0.0, points[0] + points[1])
    means = [fraction(way.total(), np.where(one_empty, 0.0, count)) for way, count in zip(ways, points, strict=True)]
    suffix = "_mm" if spacing else ""
    return pd.DataFrame(
        {
            "nsd": np.where(one_empty, 0.0, fraction(found, both)),
            "boundary_iou": _boundary_iou(truth, prediction, pixels),
            f"assd{suffix}": fraction(np.sum([way.total() for way in ways], axis=0), both) * unit,
            f"masd{suffix}": np.mean(means, axis=0) * unit,
        }
    )


def summarise_surfaces(scores: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
    """Return mean scores with 95 % intervals by lesion, each over the images that have it.

    Args:
        scores: columns ``image_id, group, fold`` and those of :func:`surface_scores`, one row an image.
        resamples: number of bootstrap resamples, at least 1.
        seed: of the bootstrap.

    Returns:
        Columns ``metric, fold_part, value, low, high, images, groups``; ``images`` counts those that have the score.

    Raises:
        DataError: an image_id, group or fold is wrong.
        ConfigError: ``resamples`` is below 1.
    """
    check_keys(scores, "surface scores")
    table = interval_table(scores, _means_where_scored, resamples=resamples, seed=seed)
    parts = fold_parts(scores)
    having = [
        parts[part][parts[part][name].notna()] for name, part in zip(table["metric"], table["fold_part"], strict=True)
    ]
    return table.assign(images=[len(rows) for rows in having], groups=[rows["group"].nunique() for rows in having])


def _means_where_scored(scores: pd.DataFrame) -> Statistic:
    names = [name for name in scores.columns if name not in ("image_id", "group", "fold")]
    values = scores[names].to_numpy(dtype=np.float64)
    scored = (~np.isnan(values)).astype(np.float64)

    def statistic(weights: FloatArray) -> dict[str, FloatArray]:
        return dict(zip(names, fraction(weights @ np.nan_to_num(values), weights @ scored).T, strict=True))

    return statistic


def in_pixels(tolerance: float, spacing: float | None) -> float:
    """Return a tolerance in pixels.

    Args:
        tolerance: in pixels or, with ``spacing``, in millimetres.
        spacing: millimetres from pixel to pixel, above 0; None for a tolerance in pixels.

    Raises:
        ConfigError: the spacing is not above 0, or the tolerance is below one pixel.
    """
    if spacing is not None and not 0 < spacing < np.inf:
        raise ConfigError(f"spacing is {spacing:g}; give the millimetres from pixel to pixel, above 0")
    pixels = tolerance / (spacing or 1.0)
    if not pixels >= 1 - 1e-9:
        given = f"{tolerance:g} mm at {spacing:g} mm a pixel" if spacing else f"{tolerance:g} pixels"
        raise ConfigError(f"tolerance is {given}; give at least one pixel, because masks are no finer")
    return pixels


def _boundary_iou(truth: BoolArray, prediction: BoolArray, width: float) -> FloatArray:
    rims = _rim(truth, width), _rim(prediction, width)
    shared, union = ((rims[0] & rims[1]).sum(axis=(1, 2)), (rims[0] | rims[1]).sum(axis=(1, 2)))
    return fraction(shared.astype(np.float64), union.astype(np.float64))


def _rim(masks: BoolArray, width: float) -> BoolArray:
    """What of each mask lies within a distance of its outside, the image's own outside included."""
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    depth = [ndimage.distance_transform_edt(one)[1:-1, 1:-1] for one in padded]
    return masks & within(np.stack(depth), width) if depth else masks
