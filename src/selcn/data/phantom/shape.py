"""A lesion's own frame and its outline: what is symmetric there is so by construction.

The lesion is drawn before it is photographed, on a square grid around its centre. Every field that makes it up is even
in ``x`` and in ``y``; only an `OddPart` breaks that, about one axis when it sits on the other, about both otherwise.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

HALF_WIDTH = 1.6
"""The frame reaches from -1.6 to 1.6; an average lesion's long half-axis is 1."""


@dataclass(frozen=True)
class Frame:
    """The square grid of ``resolution`` pixels a lesion is drawn on (even, so that no pixel centre lies on an axis)."""

    resolution: int

    @cached_property
    def x(self) -> Floats:
        """Coordinate to the right, (1, resolution)."""
        indices = np.arange(self.resolution, dtype=np.float32) - np.float32((self.resolution - 1) / 2)
        return (indices * np.float32(self.pitch))[None, :]

    @cached_property
    def y(self) -> Floats:
        """Coordinate downwards, (resolution, 1)."""
        return self.x.T

    @property
    def pitch(self) -> float:
        """Width of a pixel in the frame's unit."""
        return 2 * HALF_WIDTH / self.resolution


def mean_of_mirrors(field: Floats) -> Floats:
    """The part of a square field that is even about both axes (exactly: mirrored sums add the same pairs).

    Args:
        field: (resolution, resolution).
    """
    pair = field + field[:, ::-1]
    return (pair + pair[::-1]) * np.float32(0.25)


def max_of_mirrors(layer: Floats) -> Floats:
    """A layer laid over its three mirror images.

    Args:
        layer: (resolution, resolution).
    """
    pair = np.maximum(layer, layer[:, ::-1])
    return np.maximum(pair, pair[::-1])


def unfold(quadrant: Floats) -> Floats:
    """The whole square from its lower right quadrant (x > 0, y > 0).

    Args:
        quadrant: (resolution / 2, resolution / 2).
    """
    half = np.concatenate([quadrant[:, ::-1], quadrant], axis=1)
    return np.concatenate([half[::-1], half], axis=0)


def even_noise(rng: np.random.Generator, frame: Frame, grain: float) -> Floats:
    """Smooth noise of mean 0 and variance 1, even about both axes; ``grain`` is its wavelength in the frame's unit.

    Args:
        rng: source of the random numbers; it moves on.
        frame: the grid.
        grain: wavelength in the frame's unit.
    """
    cells = max(4, round(2 * HALF_WIDTH / grain))
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    size = (frame.resolution, frame.resolution)
    field = mean_of_mirrors(np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), dtype=np.float32))
    centred = field - field.mean()
    noise: Floats = centred / centred.std()
    return noise


def cell_borders(rng: np.random.Generator, frame: Frame, width: float) -> Floats:
    """A pattern of cells about ``width`` wide, even about both axes, (resolution, resolution).

    The cells are the Voronoi cells of a jittered hexagonal grid of seeds; the value is the distance to the second
    nearest seed less that to the nearest, in cell widths: 0 on the borders between cells.

    Args:
        rng: source of the random numbers; it moves on.
        frame: the grid.
        width: of a cell in the frame's unit.
    """
    seeds = _hexagonal_seeds(rng, width)
    copies = np.concatenate([seeds * sign for sign in ((1, 1), (-1, 1), (1, -1), (-1, -1))])
    # Only the quadrant is measured, so seeds far outside it never count; + 0.0 makes -0.0 equal 0.0.
    near = copies[(copies > -3 * width).all(axis=1)] + 0.0
    positive = frame.x[0, frame.resolution // 2 :]
    pixels = np.stack(np.meshgrid(positive, positive), axis=-1)
    nearest, second = np.moveaxis(np.asarray(cKDTree(np.unique(near, axis=0)).query(pixels, k=2)[0]), -1, 0)
    return unfold(np.asarray((second - nearest) / width, dtype=np.float32))


def _hexagonal_seeds(rng: np.random.Generator, width: float) -> NDArray[np.float64]:
    """Seeds (n, 2) of the quadrant x >= 0, y >= 0; those near an axis are put on it, or they would pair up there."""
    columns, rows = np.meshgrid(np.arange(0, HALF_WIDTH + width, width), np.arange(0, HALF_WIDTH + width, width * 0.87))
    shifted = columns + np.where(np.arange(len(rows))[:, None] % 2, width / 2, 0)
    seeds = np.stack([shifted, rows], axis=-1).reshape(-1, 2)
    seeds = np.abs(seeds + rng.uniform(-0.38, 0.38, seeds.shape) * width)
    seeds[seeds < width * 0.3] = 0
    return np.unique(seeds, axis=0)


@dataclass(frozen=True)
class OddPart:
    """One structure that its lesion has in one place only.

    ``direction`` is a unit vector from the centre; on an axis of the frame the lesion stays symmetric about that axis.
    Lengths are in the frame's unit. ``swell`` moves the outline in that direction: out (bulge) or in (notch).
    """

    direction: tuple[float, float]
    distance: float
    along: float
    across: float
    softness: float
    swell: float
    swell_sharpness: float

    def weight(self, frame: Frame, ragged: Floats) -> Floats:
        """Where it is, in [0, 1], (resolution, resolution); ``ragged`` is an even noise that frays its border.

        Args:
            frame: the grid.
            ragged: (resolution, resolution), of unit variance.
        """
        right, down = np.float32(self.direction[0]), np.float32(self.direction[1])
        along = (frame.x * right + frame.y * down - np.float32(self.distance)) / np.float32(self.along)
        across = (frame.x * down - frame.y * right) / np.float32(self.across)
        level = np.sqrt(along**2 + across**2) + np.float32(0.17) * ragged
        return soft_step((1 - level) / np.float32(self.softness))


def soft_step(field: Floats) -> Floats:
    """The logistic function, which is half at 0 and steep within a few units of it.

    Args:
        field: of any shape.
    """
    return np.asarray(1 / (1 + np.exp(-np.clip(4 * field, -30, 30))), dtype=np.float32)


def draw_odd_parts(rng: np.random.Generator, symmetry: str) -> tuple[OddPart, ...]:
    """Draw what makes a lesion of this symmetry differ from its mirror images: nothing, one part, or two.

    The one part lies across one end of an axis. Of the two, the first is large; both lie well off the axes, in
    neighbouring quadrants, so that the line through the first is no axis either.

    Args:
        rng: source of the random numbers; it moves on.
        symmetry: one of the three names of `SYMMETRY`.
    """
    if symmetry == "two-axes":
        return ()
    if symmetry == "one-axis":
        return (_cap(rng),)
    quadrant, neighbour = rng.integers(4), rng.choice([-1, 1])
    angle = (quadrant + rng.uniform(0.33, 0.67)) * np.pi / 2
    side_angle = (quadrant + neighbour + rng.uniform(0.28, 0.72)) * np.pi / 2
    main = _lump(rng, angle, size=rng.uniform(0.44, 0.54), swell=rng.choice([-0.2, 0.2]))
    side = _lump(rng, side_angle, size=rng.uniform(0.18, 0.26), swell=-main.swell)
    return (main, side)


def _cap(rng: np.random.Generator) -> OddPart:
    """A part that covers one end of the lesion, mirrored about the axis it sits on."""
    direction = ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))[rng.integers(4)]
    end = 1.0 if direction[0] else 0.8
    return OddPart(direction, 0.95 * end, rng.uniform(0.62, 0.75) * end, 1.15, 0.35, rng.uniform(0.12, 0.2), 2.0)


def _lump(rng: np.random.Generator, angle: float, *, size: float, swell: float) -> OddPart:
    """A compact part near the border in the direction of ``angle``."""
    direction = (float(np.cos(angle)), float(np.sin(angle)))
    distance = rng.uniform(0.5, 0.58)
    return OddPart(direction, distance, size * rng.uniform(0.8, 0.9), size * rng.uniform(1.0, 1.2), 0.3, swell, 9.0)


@dataclass(frozen=True)
class Outline:
    """A lesion's outline.

    ``radius`` (resolution, resolution) is the distance from the centre over the outline's in that direction, so it is
    1 on the outline; ``even_radius`` is the same without the odd parts.
    """

    aspect: float
    radius: Floats
    even_radius: Floats


def draw_outline(
    rng: np.random.Generator, frame: Frame, irregularity: float, odd_parts: tuple[OddPart, ...]
) -> Outline:
    """Draw an ellipse whose radius waves with even cosines, frayed by an even noise, swollen by its odd parts.

    Args:
        rng: source of the random numbers; it moves on.
        frame: the grid.
        irregularity: standard deviation of the waves, as a share of the radius.
        odd_parts: of the lesion.
    """
    aspect = rng.uniform(0.68, 0.86)
    waves = np.clip(rng.normal(0, irregularity, 3), -2 * irregularity, 2 * irregularity) / (1.4, 1.6, 2.5)
    distance = np.sqrt(frame.x**2 + frame.y**2)
    right, down = frame.x / distance, frame.y / distance
    double = right**2 - down**2
    fourfold = 2 * double**2 - 1
    ellipse = 1 / np.sqrt(right**2 + (down / np.float32(aspect)) ** 2)
    harmonics = (fourfold, double * (2 * fourfold - 1), 2 * fourfold**2 - 1)  # cosines of 4, 6 and 8 times the angle
    wave = sum((np.float32(a) * h for a, h in zip(waves, harmonics, strict=True)), np.float32(1))
    coarse, fine = even_noise(rng, frame, 0.35), even_noise(rng, frame, 0.12)
    fray = np.float32(0.7 * irregularity) * coarse + np.float32(0.012) * fine
    even = np.asarray(ellipse * wave, dtype=np.float32)
    swollen = even + sum((_swelling(part, right, down) for part in odd_parts), np.zeros_like(even))
    return Outline(aspect, distance / swollen + fray, distance / even + fray)


def _swelling(part: OddPart, right: Floats, down: Floats) -> Floats:
    """How far a part moves the outline in each direction: a bump on the circle (von Mises)."""
    cosine = right * np.float32(part.direction[0]) + down * np.float32(part.direction[1])
    swelling: Floats = np.float32(part.swell) * np.exp(np.float32(part.swell_sharpness) * (cosine - 1))
    return swelling
