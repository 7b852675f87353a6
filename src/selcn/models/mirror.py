"""Symmetry of a lesion, measured: the lesion is compared with its mirror images about axes through its centre.

The moments of its mask bring a lesion to a frame of its own: centred, turned to its principal axes, scaled by its
length. There its shape, its colours (CIE Lab, against the mean colour of the skin around it) and its texture are
mirrored about 12 axes, 15 degrees apart, the first and the seventh of which are the principal ones. So it does not
matter where a lesion lies, how large it is and how it is turned. Nothing here is learned.

The ABCD rule scores asymmetry of shape, colour and structure about the two principal axes likewise (Stolz et al. 1994).
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

AXES = 12
"""Axes that a lesion is mirrored about, evenly spaced over 180 degrees from its major axis on."""
SIDE = 64
"""Pixels along a side of the lesion's own frame."""
REACH = 2.6
"""Half a side of that frame, in standard deviations of the mask along its major axis; an ellipse reaches 2."""
MIN_PIXELS, MIN_WIDTH = 32, 1.0
"""The smallest region that is mirrored: number of pixels, and their standard deviation across the major axis."""
SHORTER_SIDE = 128
"""Larger images are averaged over blocks of pixels as long as their shorter side keeps this many."""
MAP_STRIDE = 4
"""Pixels of the (averaged) image along the side of one pixel of the map."""
FULL_DIFFERENCE = 30.0
"""Difference in Lab units (CIE76) that is 1 on a map; that between inside and outside the shape counts as 25."""
COMPARED = ("shape", "whole_fine", "whole_coarse", "colour_fine", "colour_coarse", "texture", "peak")
"""What is compared with the mirror images, see `Mirror`."""
MEASURES = (*(f"{name}_{about}" for about in ("axis", "pair") for name in COMPARED), "contrast", "roughness")
"""Names of the measures: differences about the axis that fits best, then mean differences about the two axes at right
angles that fit best; and what to relate them to, the lesion's mean difference from the skin and its mean texture."""

_FINE, _MEDIUM, _COARSE, _TEXTURE, _RING = 1.0, 2.5, 5.0, 2.0, 5.0  # deviations of blurs, in pixels of the frame
_SHAPE_UNITS = 25.0  # of Lab, between inside and outside the shape
_PEAK = SIDE * SIDE // 50  # number of pixels whose mean is a peak
_OUTLIER = 9.0  # squared Mahalanobis distance; a convex region has no point beyond 9, islands in a mask do
_ROUND = 1e-3  # pulls the axes of a round lesion to the image's own, where rounding errors alone would turn them
_SHARPNESS = 50.0  # of the choice among pairs of axes for the map
_TINY = 1e-6
_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
_SRGB_KNEE, _LAB_KNEE, _LAB_SLOPE = 0.04045, 216 / 24389, 24389 / 27  # of IEC 61966-2-1 and CIE 15


class Mirrored(NamedTuple):
    """What is measured of N images.

    Attributes:
        measures: (N, K), named by `MEASURES`; zeros where there is no region to mirror.
        map: local asymmetry (N, 1, h, w) in [0, 1]; zeros where there is no region to mirror.
        valid: bool (N,), whether there is a region to mirror.
    """

    measures: Tensor
    map: Tensor
    valid: Tensor


class Mirror(nn.Module):
    """Measures how a lesion differs from its mirror images, and where.

    About each axis the lesion and its mirror image differ in `shape` (1 - Jaccard index), `whole_fine` and
    `whole_coarse` (mean distance in Lab and shape over their union, blurred little and much), `colour_fine` and
    `colour_coarse` (mean distance in Lab over their intersection), `texture` (of the local standard deviation of
    lightness, over the intersection) and `peak` (mean of the largest colour distances, on 2 % of the frame).

    The map is the local difference of `whole`, blurred in between, averaged over two axes at right angles: of the six
    such pairs the one that fits best, or a mixture of those that fit alike. Of two places inside the lesion that mirror
    each other, the one less like the lesion's mean colour takes the larger share of their difference. The map is not
    scaled by image: `FULL_DIFFERENCE` is 1, so that equal asymmetry has equal values in all images.
    """

    reflections: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("reflections", _reflections(), persistent=False)

    @torch.no_grad()
    def forward(self, images: Tensor, mask: Tensor) -> Mirrored:
        """Measures and map.

        Args:
            images: (N, 3, H, W) in [0, 1], with square pixels.
            mask: of the lesion (N, 1, H, W), 0 or 1.
        """
        images, mask = _averaged(images), _averaged(mask)
        region, pose, valid = _find_pose(mask)
        grid = _frame_grid(pose, images)
        lab = F.grid_sample(to_lab(images), grid, padding_mode="border", align_corners=False)
        own, level = _find_fields(lab, F.grid_sample(region, grid, align_corners=False))
        other = self._mirror(own)
        differences = _differences(own, other)
        measures = torch.cat([differences.amin(2), _pairs(differences, 2).amin(2), level], dim=1)
        local = F.grid_sample(_best_pair(own, other), _map_grid(pose, images), align_corners=False)
        return Mirrored(
            torch.where(valid[:, None], measures, 0.0),
            torch.where(valid[:, None, None, None], local.clamp(0, 1), 0.0),
            valid,
        )

    @torch.no_grad()
    def compare_map(self, maps: Tensor, mask: Tensor) -> Tensor:
        """How a map differs from its own mirror images about the lesion's two principal axes (N,).

        The sum of the differences over that of both, where the lesion and its mirror image overlap, so that its outline
        does not count; the mean of both axes.

        Args:
            maps: (N, 1, h, w), not negative, of the whole image.
            mask: of the lesion (N, 1, H, W), 0 or 1, with square pixels.

        Returns:
            From 0 where the map is its own mirror image to 1 where it meets none of it; NaN where there is no region to
            mirror, and where the map is 0 in it.
        """
        mask = _averaged(mask)
        region, pose, valid = _find_pose(mask)
        grid = _frame_grid(pose, mask)
        shape = F.grid_sample(region, grid, align_corners=False)
        own = torch.cat([F.grid_sample(maps, grid, padding_mode="border", align_corners=False), shape], dim=1)
        found = []
        for axis in (0, AXES // 2):
            reflection = self.reflections[axis * SIDE : (axis + 1) * SIDE].expand(len(own), -1, -1, -1)
            other = F.grid_sample(own, reflection, align_corners=False)
            shared = own[:, 1] * other[:, 1]
            difference, both = (own[:, 0] - other[:, 0]).abs(), own[:, 0] + other[:, 0]
            found.append((shared * difference).sum((1, 2)) / (shared * both).sum((1, 2)))
        return torch.where(valid, torch.stack(found).mean(0), torch.nan)

    def _mirror(self, own: "_Fields") -> "_Fields":
        """The fields of the mirror image about each axis."""
        stacked = torch.cat(own, dim=1)[:, :, 0]
        grid = self.reflections[None].expand(stacked.shape[0], -1, -1, -1)
        mirrored = F.grid_sample(stacked, grid, align_corners=False)  # (N, C, AXES * SIDE, SIDE)
        mirrored = mirrored.reshape(*stacked.shape[:2], AXES, SIDE, SIDE)
        return _Fields(*torch.split(mirrored, [one.shape[1] for one in own], dim=1))


def to_lab(images: Tensor) -> Tensor:
    """CIE Lab (N, 3, H, W), L from 0 to 100, under D65; grey has a = b = 0.

    Args:
        images: sRGB (N, 3, H, W) in [0, 1].
    """
    linear = torch.where(images > _SRGB_KNEE, ((images.clamp(min=_SRGB_KNEE) + 0.055) / 1.055) ** 2.4, images / 12.92)
    matrix = images.new_tensor(_TO_XYZ)
    xyz = (matrix / matrix.sum(1, keepdim=True)) @ linear.flatten(2)  # relative to white
    xyz = xyz.reshape(linear.shape)
    root = torch.where(xyz > _LAB_KNEE, xyz.clamp(min=_LAB_KNEE) ** (1 / 3), (_LAB_SLOPE * xyz + 16) / 116)
    x, y, z = torch.split(root, 1, dim=1)
    return torch.cat([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


class _Fields(NamedTuple):
    """What is mirrored, in the lesion's own frame (N, C, axes, SIDE, SIDE); one axis of the lesion itself.

    Colours are differences in Lab from the skin, 0 outside the lesion, under three blurs.
    """

    fine: Tensor
    medium: Tensor
    coarse: Tensor
    soft: Tensor
    texture: Tensor
    shape: Tensor


class _Pose(NamedTuple):
    """Where a lesion lies, (N, 1, 1) each: centre in pixels, direction of its major axis, half a side of its frame."""

    x: Tensor
    y: Tensor
    cos: Tensor
    sin: Tensor
    half: Tensor


class _Moments(NamedTuple):
    """Number of a mask's pixels, their centre, and their covariance, (N, 1, 1, 1) each."""

    pixels: Tensor
    x: Tensor
    y: Tensor
    xx: Tensor
    yy: Tensor
    xy: Tensor


def _averaged(images: Tensor) -> Tensor:
    block = max(1, min(images.shape[2:]) // SHORTER_SIDE)
    return images if block == 1 else F.avg_pool2d(images, block)


def _moments(mask: Tensor) -> _Moments:
    x, y = _positions(mask)
    pixels = mask.sum((1, 2, 3), keepdim=True)

    def mean(values: Tensor) -> Tensor:
        return (mask * values).sum((1, 2, 3), keepdim=True) / pixels.clamp(min=_TINY)

    centre_x, centre_y = mean(x), mean(y)
    right, down = x - centre_x, y - centre_y
    return _Moments(pixels, centre_x, centre_y, mean(right * right), mean(down * down), mean(right * down))


def _positions(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Centres of pixels along x (W,) and y (H, 1)."""
    height, width = mask.shape[2:]
    return torch.arange(width).to(mask) + 0.5, torch.arange(height).to(mask)[:, None] + 0.5


def _find_pose(mask: Tensor) -> tuple[Tensor, _Pose, Tensor]:
    """The mask without what lies far from the rest of it, its pose, and whether it can be mirrored."""
    whole, (x, y) = _moments(mask), _positions(mask)
    right, down = x - whole.x, y - whole.y
    squared = whole.yy * right * right + whole.xx * down * down - 2 * whole.xy * right * down
    region = mask * (squared <= _OUTLIER * (whole.xx * whole.yy - whole.xy * whole.xy)).to(mask)
    found = _moments(region)
    mean, along = (found.xx + found.yy) / 2, (found.xx - found.yy) / 2
    spread = (along * along + found.xy * found.xy).sqrt()
    valid = (found.pixels >= MIN_PIXELS) & (mean - spread >= MIN_WIDTH**2)
    half = REACH * (mean + spread).clamp(min=1).sqrt()
    pose = _Pose(*(one[:, 0] for one in (found.x, found.y, *_direction(along + _ROUND * mean, found.xy), half)))
    return region, pose, valid[:, 0, 0, 0]


def _direction(along: Tensor, across: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of half the angle of (along, across), without loss of precision at any angle."""
    length = (along * along + across * across).sqrt().clamp(min=_TINY)
    large = ((length + along.abs()) / (2 * length)).clamp(min=0.5).sqrt()  # of the two, in absolute value
    small = across.abs() / (2 * length * large)
    sign = torch.where(across < 0, -1.0, 1.0)
    return torch.where(along >= 0, large, small), sign * torch.where(along >= 0, small, large)


def _square() -> tuple[Tensor, Tensor]:
    """x and y of the frame's pixels in [-1, 1], (SIDE, SIDE) each."""
    line = (torch.arange(SIDE) + 0.5) * (2 / SIDE) - 1
    return line.expand(SIDE, SIDE), line[:, None].expand(SIDE, SIDE)


def _reflections() -> Tensor:
    """Where each pixel of the frame lies in the mirror image about each axis (AXES * SIDE, SIDE, 2)."""
    x, y = _square()
    twice = [2 * math.pi * number / AXES for number in range(AXES)]
    grids = [(math.cos(one) * x + math.sin(one) * y, math.sin(one) * x - math.cos(one) * y) for one in twice]
    return torch.cat([torch.stack(grid, dim=-1) for grid in grids])


def _frame_grid(pose: _Pose, images: Tensor) -> Tensor:
    """Where each pixel of the frame lies in the image (N, SIDE, SIDE, 2), in [-1, 1]."""
    height, width = images.shape[2:]
    u, v = (one.to(images) for one in _square())
    x = pose.x + pose.half * (pose.cos * u - pose.sin * v)
    y = pose.y + pose.half * (pose.sin * u + pose.cos * v)
    return torch.stack([x * (2 / width) - 1, y * (2 / height) - 1], dim=-1)


def _map_grid(pose: _Pose, images: Tensor) -> Tensor:
    """Where each pixel of the map lies in the frame (N, h, w, 2), in [-1, 1]."""
    height, width = images.shape[2:]
    rows, columns = height // MAP_STRIDE, width // MAP_STRIDE
    x = (torch.arange(columns).to(images) + 0.5) * (width / columns) - pose.x
    y = (torch.arange(rows).to(images)[:, None] + 0.5) * (height / rows) - pose.y
    return torch.stack([pose.cos * x + pose.sin * y, pose.cos * y - pose.sin * x], dim=-1) / pose.half[..., None]


def _blurred(fields: Tensor, deviation: float) -> Tensor:
    """Gaussian blur of a frame with zeros around it, as matrix products: convolutions of single channels are slower."""
    place = torch.arange(SIDE).to(fields)
    apart = place[:, None] - place
    kernel = torch.exp(-apart.square() / (2 * deviation**2)) * (apart.abs() <= round(3 * deviation))
    kernel = kernel / kernel[SIDE // 2].sum()  # no end of the kernel is cut off in the middle
    return kernel @ fields @ kernel


def _find_fields(lab: Tensor, shape: Tensor) -> tuple[_Fields, Tensor]:
    """What is mirrored, and the lesion's contrast and roughness (N, 2)."""
    ring = _blurred(shape, _RING) * (1 - shape) + _TINY
    skin = (lab * ring).sum((2, 3), keepdim=True) / ring.sum((2, 3), keepdim=True)
    colour, near = shape * (lab - skin), _blurred(shape, _TEXTURE) + 1e-3
    lightness = lab[:, :1] - skin[:, :1]
    around = _blurred(shape * lightness, _TEXTURE) / near
    texture = shape * (_blurred(shape * (lightness - around) ** 2, _TEXTURE) / near).sqrt()
    blurs = [_blurred(colour, deviation) for deviation in (_FINE, _MEDIUM, _COARSE)]
    fields = _Fields(*(one[:, :, None] for one in (*blurs, _SHAPE_UNITS * _blurred(shape, _TEXTURE), texture, shape)))
    inside = torch.cat([_length(colour)[:, None], texture], dim=1)
    return fields, (shape * inside).sum((2, 3)) / shape.sum((2, 3)).clamp(min=_TINY)


def _differences(own: _Fields, other: _Fields) -> Tensor:
    """How the lesion and its mirror images differ (N, len(COMPARED), AXES)."""
    shared, union = own.shape * other.shape, torch.maximum(own.shape, other.shape)
    within, overall = shared.sum((3, 4)).clamp(min=_TINY), union.sum((3, 4)).clamp(min=_TINY)
    fine, coarse = (_length(a - b)[:, None] for a, b in ((own.fine, other.fine), (own.coarse, other.coarse)))
    found = [
        1 - torch.minimum(own.shape, other.shape).sum((3, 4)) / overall,
        *((_whole(one, own, other) * union).sum((3, 4)) / overall for one in (fine, coarse)),
        *((one * shared).sum((3, 4)) / within for one in (fine, coarse, (own.texture - other.texture).abs())),
        (fine * shared).flatten(3).topk(_PEAK, dim=3).values.mean(3),
    ]
    return torch.cat(found, dim=1)


def _length(vectors: Tensor) -> Tensor:
    return vectors.square().sum(1).sqrt()


def _whole(colour: Tensor, own: _Fields, other: _Fields) -> Tensor:
    """Distance of colour and shape together (N, 1, AXES, SIDE, SIDE)."""
    return (colour.square() + (own.soft - other.soft).square()).sqrt()


def _pairs(values: Tensor, dim: int) -> Tensor:
    """Means over the two axes of each pair at right angles."""
    first, second = values.chunk(2, dim=dim)
    return (first + second) / 2


def _best_pair(own: _Fields, other: _Fields) -> Tensor:
    """Local asymmetry in the lesion's frame (N, 1, SIDE, SIDE)."""
    area = own.shape.sum((3, 4), keepdim=True).clamp(min=_TINY)
    local = _whole(_length(own.medium - other.medium)[:, None], own, other) / FULL_DIFFERENCE
    mean = (own.medium * own.shape).sum((3, 4), keepdim=True) / area
    odd, counterpart = (_length(one.medium - mean * one.shape)[:, None] for one in (own, other))
    share = 1 + own.shape * other.shape * (odd - counterpart) / (odd + counterpart + 1)
    cost = _pairs(local, 2).sum((3, 4), keepdim=True) / area
    return (_pairs(local * share, 2) * (-_SHARPNESS * cost).softmax(dim=2)).sum(2)
