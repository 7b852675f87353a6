"""Scores of maps without a network: how spread out they are, how alike two are, and whether they find a known place."""

import torch
import torch.nn.functional as F
from torch import Tensor

from selcn.saliency.infidelity import is_flat

SIDE = 56
"""Cells along each side of the grid at which maps of different grids are compared."""
PLACE_CELLS = (4, 8, 16, 32)
"""Cells along each side of the grids at which a map is compared with a known place."""
_LEVELS = 2**20  # that values are rounded to, so that plateaus of interpolated maps stay level


def at_side(saliency: Tensor, side: int = SIDE) -> Tensor:
    """Maps at a common grid (N, 1, side, side), float64: bilinear to a finer one, means of cells to a coarser one.

    Args:
        saliency: (N, 1, h, w).
        side: cells along each side.
    """
    height, width = (max(side, length) for length in saliency.shape[2:])
    finer = F.interpolate(saliency.double(), size=(height, width), mode="bilinear", align_corners=False)
    return (F.adaptive_avg_pool2d(finer, side) * _LEVELS).round() / _LEVELS


def complexity(saliency: Tensor) -> Tensor:
    """Entropy of a map's shares of its sum, over that of an even map (N,): 0 for one cell, 1 for all alike.

    Bhatt, Weller & Moura 2020 (arXiv:2005.00631), at a grid of 56 x 56 cells, so that coarse and fine maps compare.

    Args:
        saliency: (N, 1, h, w), not negative.

    Returns:
        NaN for a flat map.
    """
    maps = at_side(saliency).flatten(1)
    shares = maps / maps.sum(1, keepdim=True)
    entropy = torch.special.entr(shares).sum(1) / torch.log(torch.tensor(float(maps.shape[1])))
    return torch.where(is_flat(saliency), torch.nan, entropy)


def rank_correlation(one: Tensor, other: Tensor, region: Tensor | None = None) -> Tensor:
    """Spearman's rank correlation of two maps (N,); NaN where one of them is flat.

    Args:
        one: (N, 1, h, w).
        other: (N, 1, h, w).
        region: bool (N, 1, h, w), the positions that count; None for all.
    """
    weights = torch.ones_like(one, dtype=torch.float64) if region is None else region.double()
    weights = weights.flatten(1)
    ranks = [_weight_below(maps.double().flatten(1), weights) for maps in (one, other)]
    centred = [rank - (rank * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True) for rank in ranks]
    spread = ((centred[0].square() * weights).sum(1) * (centred[1].square() * weights).sum(1)).sqrt()
    return torch.where(spread > 0, (centred[0] * centred[1] * weights).sum(1) / spread, torch.nan)


def mean_rank_correlation(maps: list[Tensor]) -> Tensor:
    """Mean of Spearman's rank correlation over all pairs of maps (N,), of those pairs of which neither is flat.

    Args:
        maps: two or more, (N, 1, h, w) each.

    Returns:
        NaN where there is no such pair.
    """
    pairs = [rank_correlation(one, other) for number, one in enumerate(maps) for other in maps[:number]]
    return torch.stack(pairs).nanmean(0)


def place_auc(saliency: Tensor, place: Tensor, lesion: Tensor, cells: int) -> Tensor:
    """Probability that the map is higher at the known place than elsewhere in the lesion (N,); ties count half.

    Map, place and lesion are averaged over a grid of cells, in which each cell counts for the place by its share of it,
    and for the rest of the lesion by its share of that. So the value by chance is 0.5 for every size of the place and
    every grid, and a map as coarse as the grid is not blamed for its coarseness.

    Args:
        saliency: (N, 1, h, w).
        place: bool or 0 to 1 (N, 1, H, W).
        lesion: bool or 0 to 1 (N, 1, H, W).
        cells: along each side of the grid.

    Returns:
        0 to 1; NaN for a flat map, and where the lesion has no such place or is nothing else.
    """
    inside = torch.minimum(place.double(), lesion.double())
    there, around = (F.adaptive_avg_pool2d(one, cells).flatten(1) for one in (inside, lesion.double() - inside))
    below = _weight_below(at_side(saliency, cells).flatten(1), around)
    whole = there.sum(1) * around.sum(1)
    defined = (whole > 0) & ~is_flat(saliency)
    return torch.where(defined, (there * below).sum(1) / torch.where(defined, whole, 1), torch.nan)


def _weight_below(values: Tensor, weights: Tensor) -> Tensor:
    """Of each value (N, P), the weight of all smaller ones of its row, and half of that of equal ones."""
    ordered, order = values.sort(dim=1)
    total = weights.gather(1, order).cumsum(1)
    before = F.pad(total[:, :-1], (1, 0))
    new = F.pad(ordered[:, 1:] != ordered[:, :-1], (1, 1), value=True)  # where equal values begin, and after them
    start = torch.where(new[:, :-1], before, 0).cummax(1).values
    end = torch.where(new[:, 1:], total, torch.inf).flip(1).cummin(1).values.flip(1)
    return torch.empty_like(total).scatter_(1, order, (start + end) / 2)
