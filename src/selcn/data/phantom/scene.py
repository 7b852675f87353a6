"""What surrounds a lesion in a photograph: skin, light, gel bubbles, hairs, ruler marks.

Nothing here knows the diagnosis or the symmetry. Lengths are shares of the photograph's short side.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from selcn.data.phantom.shape import Floats, soft_step


@dataclass(frozen=True)
class Grid:
    """The photograph's oversampled pixels, and where they lie from its middle."""

    right: Floats
    down: Floats
    short: int

    @classmethod
    def of(cls, shape: tuple[int, int]) -> "Grid":
        """The grid of an image of ``shape`` (height, width).

        Args:
            shape: height and width in pixels.
        """
        height, width = shape
        short = min(shape)
        columns, rows = (np.arange(length, dtype=np.float32) - (length - 1) / 2 for length in (width, height))
        return cls((columns / short)[None, :].astype(np.float32), (rows / short)[:, None].astype(np.float32), short)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.down.shape[0], self.right.shape[1]

    def noise(self, rng: np.random.Generator, grain: float) -> Floats:
        """Smooth noise of about unit variance and wavelength ``grain``.

        Args:
            rng: source of the random numbers; it moves on.
            grain: wavelength as a share of the short side.
        """
        height, width = self.shape
        cells = (max(3, round(height / self.short / grain)), max(3, round(width / self.short / grain)))
        coarse = rng.standard_normal(cells, dtype=np.float32)
        return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)

    def points(self, places: Floats) -> cv2.typing.MatLike:
        """Places (n, 2), right and down of the middle, as OpenCV's fixed-point pixels (four bits of fraction).

        Args:
            places: float (n, 2), as shares of the short side.
        """
        middle = (np.array(self.shape[::-1]) - 1) / 2
        return np.round(16 * (places * self.short + middle)).astype(np.int32)


def compose(rng: np.random.Generator, skin: Floats, colour: Floats, coverage: Floats) -> Floats:
    """Compose a photograph, float RGB (height, width, 3).

    Args:
        rng: gives all that surrounds the lesion.
        skin: the skin's RGB, (3,).
        colour: the lesion's RGB, (height, width, 3).
        coverage: how much of the skin the lesion hides, (height, width).
    """
    height, width = coverage.shape
    grid = Grid.of((height, width))
    relief = _draw_relief(rng, grid)
    # Planes of colour, (3, height, width): NumPy is several times faster on them than on an axis of three.
    planes = np.ascontiguousarray(np.moveaxis(colour, 2, 0))
    tone = skin[:, None, None]
    background = tone * relief * _draw_blush(rng, grid)
    # The lesion is seen through the same skin: darker skin darkens it, though less than it darkens itself.
    lesion = planes * (tone / 0.9) ** 0.3 * (0.4 + 0.6 * relief)
    image = background + 0.97 * coverage * (lesion - background)
    for add, share in ((add_bubbles, 0.3), (add_hairs, 0.5), (add_ruler, 0.2)):
        (own,) = rng.spawn(1)
        if own.random() < share:
            image = add(own, grid, image)
    return np.ascontiguousarray(np.moveaxis(image * _draw_light(rng, grid), 0, 2))


def _draw_relief(rng: np.random.Generator, grid: Grid) -> Floats:
    """Brightness of the skin, (height, width): broad mottling, fine grain and the net of furrows."""
    mottling = 0.018 * grid.noise(rng, 0.3) + 0.012 * grid.noise(rng, 0.06) + 0.010 * grid.noise(rng, 0.02)
    furrows = np.exp(-((grid.noise(rng, 0.05) / 0.25) ** 2)) + np.exp(-((grid.noise(rng, 0.08) / 0.2) ** 2))
    return np.asarray(1 + mottling - rng.uniform(0.01, 0.035) * furrows, dtype=np.float32)


def _draw_blush(rng: np.random.Generator, grid: Grid) -> Floats:
    """Redness of the skin, a factor of RGB, (3, height, width)."""
    redness = 0.02 * grid.noise(rng, 0.5) + 0.015 * grid.noise(rng, 0.12)
    return 1 + redness * np.array([0.3, -0.9, -0.7], dtype=np.float32)[:, None, None]


def _draw_light(rng: np.random.Generator, grid: Grid) -> Floats:
    """Exposure, white balance, a slope of light and a vignette or a round stop: a factor, (3, height, width)."""
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.1)
    light = rng.uniform(0.92, 1.05) + slope * (grid.right * math.cos(angle) + grid.down * math.sin(angle))
    distance = np.hypot(grid.right - rng.normal(0, 0.03), grid.down - rng.normal(0, 0.03))
    depth, stopped, stop = rng.uniform(0, 0.35), rng.random() < 0.15, rng.uniform(0.66, 0.76)
    to_corner = distance / float(distance.max())
    light = light * vignette(to_corner, depth)
    if stopped:
        light = light * (0.04 + 0.96 * soft_step((stop - distance) * np.float32(60)))
    balance = rng.normal(1, 0.012, 3).astype(np.float32)
    return np.asarray(light * balance[:, None, None], dtype=np.float32)


def vignette(to_corner: Floats, depth: float) -> Floats:
    """The light that a lens leaves, a factor, (height, width).

    Args:
        to_corner: distance from the middle, 1 in the farthest corner, (height, width).
        depth: share of the light that is lost there.
    """
    return 1 - depth * to_corner**2 * to_corner


def add_bubbles(rng: np.random.Generator, grid: Grid, image: Floats, count: int | None = None) -> Floats:
    """Add air in the gel: a bright rim, a darker foot inside it, a highlight.

    Args:
        rng: source of the random numbers; it moves on.
        grid: of the image.
        image: RGB in [0, 1], (3, height, width).
        count: how many bubbles; None for 2 to 8.
    """
    image = image.copy()
    half_width, half_height = float(grid.right.max()), float(grid.down.max())
    for _ in range(rng.integers(2, 9) if count is None else count):
        right, down = rng.uniform(-half_width, half_width), rng.uniform(-half_height, half_height)
        radius = rng.uniform(0.01, 0.06)
        rows = slice(*np.searchsorted(grid.down[:, 0], (down - 1.7 * radius, down + 1.7 * radius)))
        columns = slice(*np.searchsorted(grid.right[0], (right - 1.7 * radius, right + 1.7 * radius)))
        across, upright = (grid.right[:, columns] - right) / radius, (grid.down[rows] - down) / radius
        distance = np.hypot(across, upright)
        rim = 0.13 * np.exp(-(((distance - 1) / 0.15) ** 2)) - 0.07 * np.exp(-(((distance - 0.72) / 0.2) ** 2))
        glint = 0.8 * np.exp(-((np.hypot(across + 0.35, upright + 0.35) / 0.22) ** 2))
        window = image[:, rows, columns] * (1 + rim)
        image[:, rows, columns] = window + glint * (1 - window)
    return image


def add_hairs(rng: np.random.Generator, grid: Grid, image: Floats, count: int | None = None) -> Floats:
    """Add bent hairs of one person: of one colour, most of them in one direction.

    Args:
        rng: source of the random numbers; it moves on.
        grid: of the image.
        image: RGB in [0, 1], (3, height, width).
        count: how many hairs; None for 2 to 12.
    """
    drawn = np.zeros(grid.shape, dtype=np.uint8)
    main_angle, time = rng.uniform(0, np.pi), np.linspace(-1, 1, 25)[:, None]
    half = np.array([grid.right.max(), grid.down.max()])
    for _ in range(rng.integers(2, 13) if count is None else count):
        angle = main_angle + rng.normal(0, 0.5)
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        middle, length, bend = rng.uniform(-half, half), rng.uniform(0.15, 0.65), rng.normal(0, 0.12)
        path = middle + time * length * along + (time**2 - time**3 / 2) * bend * across
        thickness = max(1, round(rng.uniform(0.004, 0.011) * grid.short))
        cv2.polylines(drawn, [grid.points(path)], False, int(rng.integers(150, 250)), thickness, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(drawn, (0, 0), 0.004 * grid.short).astype(np.float32) / 255
    hair = np.array([0.16, 0.11, 0.09]) + rng.choice([0, 0, 0, 0.3]) * np.array([1.0, 0.8, 0.5])
    covered: Floats = image + soft * (hair.astype(np.float32)[:, None, None] - image)
    return covered


def add_ruler(rng: np.random.Generator, grid: Grid, image: Floats, reach: float = 1) -> Floats:
    """Add the millimetre marks of a contact plate along one edge, every fifth one longer.

    Args:
        rng: source of the random numbers; it moves on.
        grid: of the image.
        image: RGB in [0, 1], (3, height, width).
        reach: how far the marks reach into the image, 1 being usual.
    """
    drawn = np.zeros(grid.shape, dtype=np.uint8)
    half = np.array([grid.right.max(), grid.down.max()])
    side, lean, spacing = rng.integers(4), rng.normal(0, 0.02), rng.uniform(0.05, 0.08)
    inwards = np.array(((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))[side])
    along = np.array([inwards[1], -inwards[0]]) + lean * inwards
    edge = -inwards * (half - rng.uniform(0.015, 0.035))
    thickness = max(1, round(0.008 * grid.short))
    for mark in range(-14, 15):
        start = edge + mark * spacing * along
        end = start + inwards * reach * (0.085 if mark % 5 == 0 else 0.045)
        cv2.polylines(drawn, [grid.points(np.stack([start, end]))], False, 235, thickness, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(drawn, (0, 0), 0.003 * grid.short).astype(np.float32) / 255
    marked: Floats = image + soft * (0.1 - image)
    return marked


def add_ink(rng: np.random.Generator, grid: Grid, image: Floats, count: int) -> Floats:
    """Add strokes of a surgical marker, violet, around the middle of the image; photographs of the phantom have none.

    Args:
        rng: source of the random numbers; it moves on.
        grid: of the image.
        image: RGB in [0, 1], (3, height, width).
        count: how many strokes.
    """
    drawn = np.zeros(grid.shape, dtype=np.uint8)
    for _ in range(count):
        start, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.2)
        angle = start + np.linspace(0, length, 40)
        radius = rng.uniform(0.36, 0.47) + 0.012 * np.sin(rng.uniform(3, 7) * angle + rng.uniform(0, 6))
        path = (radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])).astype(np.float32)
        thickness = max(1, round(rng.uniform(0.018, 0.03) * grid.short))
        cv2.polylines(drawn, [grid.points(path)], False, 255, thickness, cv2.LINE_AA, 4)
    worn = np.clip(0.85 + 0.12 * grid.noise(rng, 0.03), 0, 1)
    soft = cv2.GaussianBlur(drawn, (0, 0), 0.003 * grid.short).astype(np.float32) / 255 * worn
    # Ink lets through what lies below it, less of green and red than of blue.
    passed: Floats = np.array([0.38, 0.22, 0.68], dtype=np.float32)[:, None, None]
    inked: Floats = image * (1 - soft + soft * passed)
    return inked
