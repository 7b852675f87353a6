"""The seven diagnoses as they look: pigment and structure, even about both axes, and the odd parts over them."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from selcn.data.phantom.shape import (
    Bytes,
    Floats,
    Frame,
    Outline,
    cell_borders,
    draw_odd_parts,
    draw_outline,
    even_noise,
    max_of_mirrors,
    soft_step,
)

Colour = tuple[float, float, float]

BROWN, DARK_BROWN, LIGHT_BROWN = (0.55, 0.37, 0.25), (0.30, 0.18, 0.12), (0.68, 0.49, 0.35)
BLACK, NEAR_BLACK = (0.12, 0.09, 0.09), (0.20, 0.13, 0.10)
BLUE_BLACK, BLUE_WHITE, BLUE_GREY = (0.15, 0.15, 0.22), (0.56, 0.61, 0.73), (0.36, 0.39, 0.50)
PINK, RED, DARK_RED, MAROON = (0.84, 0.60, 0.56), (0.72, 0.29, 0.28), (0.54, 0.12, 0.15), (0.44, 0.22, 0.20)
PURPLE, TAN, SAND = (0.36, 0.10, 0.21), (0.71, 0.56, 0.47), (0.80, 0.71, 0.54)
IVORY, KERATIN, WHITE, OCHRE = (0.92, 0.86, 0.72), (0.95, 0.90, 0.78), (0.95, 0.89, 0.86), (0.72, 0.52, 0.28)


@dataclass(frozen=True)
class Lesion:
    """A lesion in its own frame, symmetric about the frame's axes as far as its class of `SYMMETRY` says.

    All are (resolution, resolution) float32 in [0, 1]; ``colour`` has a last axis of 3 (RGB).
    """

    frame: Frame
    colour: Floats
    coverage: Floats
    """How much of the skin the lesion hides: the mask is where this is at least half."""
    asymmetry: Floats
    """Where the odd parts are, within the lesion; zero for a lesion without."""

    @property
    def reach(self) -> float:
        """Distance from the centre to the farthest point of the mask, in the frame's unit."""
        distance = np.hypot(self.frame.x, self.frame.y)
        return float(distance[self.coverage >= 0.5].max())


class Painter:
    """Paints one lesion's colour, layer over layer; every layer is even about both axes."""

    def __init__(self, rng: np.random.Generator, frame: Frame, outline: Outline, base: Colour) -> None:
        self.rng = rng
        self.frame = frame
        self.aspect = outline.aspect
        self.radius = outline.even_radius
        self.tint = rng.normal(0, 0.022, 3) + rng.normal(0, 0.03)
        self.planes = np.empty((3, frame.resolution, frame.resolution), dtype=np.float32)
        self.planes[:] = self._tinted(base)

    def _tinted(self, colour: Colour) -> Floats:
        return np.asarray(np.clip(np.asarray(colour) + self.tint, 0.02, 0.98), dtype=np.float32)[:, None, None]

    def blend(self, weight: Floats, colour: Colour, opacity: float) -> None:
        """Lay a colour over what is there, where ``weight`` is.

        Args:
            weight: (resolution, resolution) in [0, 1].
            colour: RGB in [0, 1], before the lesion's tint.
            opacity: in [0, 1].
        """
        self.planes += np.float32(opacity) * weight * (self._tinted(colour) - self.planes)

    def mottle(self) -> None:
        """Vary the brightness, coarsely and finely, as uneven pigment does."""
        broad, fine = even_noise(self.rng, self.frame, 0.5), even_noise(self.rng, self.frame, 0.05)
        self.planes *= 1 + np.float32(0.05) * broad + np.float32(0.03) * fine

    def ring(self, centre: float, width: float) -> Floats:
        """A soft band along the outline, ``centre`` of the way to it; with 0, a soft disc.

        Args:
            centre: share of the way from the centre to the outline.
            width: of the band, in the same unit.
        """
        band: Floats = np.exp(-(((self.radius - np.float32(centre)) / np.float32(width)) ** 2))
        return band

    def patches(self, grain: float, share: float) -> Floats:
        """Soft-bordered clouds that cover about ``share`` of the lesion.

        Args:
            grain: wavelength of the clouds in the frame's unit.
            share: in (0, 1).
        """
        noise = even_noise(self.rng, self.frame, grain)
        return soft_step((noise - np.quantile(noise, 1 - share)) * np.float32(1.4))

    def folds(self, grain: float, width: float) -> Floats:
        """Winding lines, where a noise passes zero.

        Args:
            grain: wavelength of the noise in the frame's unit.
            width: of the lines, in standard deviations of the noise.
        """
        lines: Floats = np.exp(-((even_noise(self.rng, self.frame, grain) / np.float32(width)) ** 2))
        return lines

    def network(self, width: float, thickness: float) -> Floats:
        """A net of lines around cells ``width`` wide.

        Args:
            width: of a cell in the frame's unit.
            thickness: of the lines, in cell widths.
        """
        border = cell_borders(self.rng, self.frame, width)
        lines: Floats = np.exp(-((border / np.float32(thickness)) ** 2))
        return lines

    def dots(self, count: int, size: tuple[float, float], where: tuple[float, float]) -> Floats:
        """Round spots, ``count`` a quadrant, of radius ``size``, ``where`` (from, to) of the way to the outline.

        Args:
            count: spots a quadrant.
            size: least and largest radius in the frame's unit.
            where: least and largest share of the way to the outline.
        """
        layer = np.zeros((self.frame.resolution, self.frame.resolution), dtype=np.uint8)
        for _ in range(count):
            angle, way = self.rng.uniform(0, np.pi / 2), self.rng.uniform(*where)
            centre = self._pixel(way * np.cos(angle), way * np.sin(angle) * self.aspect)
            radius = round(16 * self.rng.uniform(*size) / self.frame.pitch)
            cv2.circle(layer, centre, radius, 255, cv2.FILLED, cv2.LINE_AA, 4)
        return self._softened(layer, size[0] * 0.35)

    def vessels(self, count: int, thickness: float) -> Floats:
        """Branching vessels, ``count`` trees a quadrant, that grow from the border inwards.

        Args:
            count: trees a quadrant.
            thickness: of a stem in the frame's unit.
        """
        layer = np.zeros((self.frame.resolution, self.frame.resolution), dtype=np.uint8)
        for _ in range(count):
            angle = self.rng.uniform(0.1, np.pi / 2 - 0.1)
            start = np.array([np.cos(angle), np.sin(angle) * self.aspect]) * 0.95
            self._branch(layer, start, angle + np.pi + self.rng.normal(0, 0.3), 0.55, thickness)
        return self._softened(layer, 0.012)

    def _branch(
        self, layer: Bytes, start: NDArray[np.float64], heading: float, length: float, thickness: float
    ) -> None:
        steps = max(3, round(length / 0.06))
        headings = heading + np.cumsum(self.rng.normal(0, 0.28, steps))
        path = start + 0.06 * np.cumsum(np.stack([np.cos(headings), np.sin(headings)], axis=1), axis=0)
        points = np.array([self._pixel(right, down) for right, down in path])
        cv2.polylines(layer, [points], False, 255, max(1, round(thickness / self.frame.pitch)), cv2.LINE_AA, 4)
        if length > 0.3:
            for side in (-0.6, 0.6):
                fork = self.rng.integers(1, steps)
                self._branch(layer, path[fork], headings[fork] + side, length * 0.55, thickness * 0.65)

    def _pixel(self, right: float, down: float) -> tuple[int, int]:
        """A frame coordinate as OpenCV's fixed-point pixel (four bits of fraction)."""
        column, row = np.round(16 * (np.array([right, down]) / self.frame.pitch + (self.frame.resolution - 1) / 2))
        return int(column), int(row)

    def _softened(self, layer: Bytes, sigma: float) -> Floats:
        blurred = cv2.GaussianBlur(layer, (0, 0), max(0.6, sigma / self.frame.pitch))
        return max_of_mirrors(np.asarray(blurred, dtype=np.float32) / np.float32(255))


def _paint_nv(p: Painter) -> None:
    p.blend(p.ring(0, p.rng.uniform(0.5, 0.8)), DARK_BROWN, p.rng.uniform(0.15, 0.6))
    p.blend(p.patches(0.5, 0.35), DARK_BROWN, 0.3)
    if p.rng.random() < 0.7:
        net = p.network(p.rng.uniform(0.11, 0.16), 0.3)
        p.blend(1 - net, LIGHT_BROWN, p.rng.uniform(0.15, 0.35))
        p.blend(net * (0.4 + 0.6 * p.patches(0.5, 0.6)), DARK_BROWN, p.rng.uniform(0.55, 0.85))
    else:
        p.blend(p.dots(40, (0.025, 0.055), (0.03, 0.92)), DARK_BROWN, p.rng.uniform(0.5, 0.75))
    p.blend(p.ring(1.05, 0.22), LIGHT_BROWN, 0.45)


def _paint_mel(p: Painter) -> None:
    p.blend(p.patches(0.55, 0.45), BROWN, 0.8)
    p.blend(p.patches(0.6, 0.2), MAROON, p.rng.uniform(0, 0.6))
    p.blend(p.network(p.rng.uniform(0.17, 0.24), 0.3) * p.patches(0.45, 0.5), BLACK, p.rng.uniform(0.3, 0.6))
    p.blend(p.patches(0.5, 0.35), BLACK, p.rng.uniform(0.5, 0.85))
    p.blend(p.dots(10, (0.02, 0.05), (0.6, 1.0)), BLACK, 0.8)
    if p.rng.random() < 0.8:
        p.blend(p.patches(0.6, 0.4) * p.ring(0, 0.75), BLUE_WHITE, p.rng.uniform(0.5, 0.85))


def _paint_bkl(p: Painter) -> None:
    p.blend(p.patches(0.5, 0.4), BROWN, p.rng.uniform(0.2, 0.65))
    p.blend(p.folds(0.3, 0.3), DARK_BROWN, p.rng.uniform(0.1, 0.45))
    p.blend(p.dots(int(p.rng.integers(8, 18)), (0.02, 0.045), (0.05, 0.92)), IVORY, 0.85)
    p.blend(p.dots(int(p.rng.integers(5, 12)), (0.02, 0.055), (0.05, 0.92)), DARK_BROWN, 0.75)
    p.blend(p.ring(1.0, 0.1), BROWN, 0.5)


def _paint_bcc(p: Painter) -> None:
    p.blend(p.patches(0.7, 0.35), WHITE, p.rng.uniform(0.2, 0.55))
    p.blend(p.patches(0.5, 0.25), RED, p.rng.uniform(0.05, 0.3))
    p.blend(p.dots(int(p.rng.integers(2, 7)), (0.04, 0.11), (0.3, 0.9)), BLUE_GREY, p.rng.uniform(0.55, 0.85))
    p.blend(p.vessels(2, 0.026), DARK_RED, p.rng.uniform(0.5, 0.8))


def _paint_akiec(p: Painter) -> None:
    p.blend(p.patches(0.4, 0.4), RED, p.rng.uniform(0.3, 0.6))
    p.blend(p.network(p.rng.uniform(0.15, 0.2), 0.4), RED, p.rng.uniform(0.3, 0.6))
    p.blend(p.dots(22, (0.02, 0.038), (0.03, 0.97)), IVORY, p.rng.uniform(0.3, 0.7))
    p.blend(p.patches(0.3, 0.25) * p.patches(0.1, 0.6), KERATIN, p.rng.uniform(0.6, 0.9))


def _paint_vasc(p: Painter) -> None:
    p.blend(p.patches(0.5, 0.5), RED, p.rng.uniform(0.3, 0.6))
    for colour, count in ((RED, 9), (DARK_RED, 14), (PURPLE, int(p.rng.integers(3, 9)))):
        p.blend(p.dots(count, (0.05, 0.13), (0.0, 0.9)), colour, p.rng.uniform(0.7, 0.9))
    p.blend(p.patches(0.6, 0.2), BLUE_WHITE, p.rng.uniform(0, 0.35))


def _paint_df(p: Painter) -> None:
    p.blend(p.ring(0.72, 0.25), BROWN, p.rng.uniform(0.5, 0.9))
    p.blend(p.network(p.rng.uniform(0.12, 0.17), 0.26) * p.ring(0.78, 0.3), DARK_BROWN, p.rng.uniform(0.3, 0.6))
    scar = soft_step((p.rng.uniform(0.28, 0.46) - p.radius + np.float32(0.06) * even_noise(p.rng, p.frame, 0.3)) * 3)
    p.blend(scar, WHITE, p.rng.uniform(0.6, 0.9))
    p.blend(scar * p.folds(0.2, 0.3), PINK, 0.5)


@dataclass(frozen=True)
class Look:
    """How a diagnosis is drawn: ``fade`` is the width of its border, ``odd_colours`` those of its odd parts."""

    base: Colour
    irregularity: float
    fade: tuple[float, float]
    odd_colours: tuple[Colour, ...]
    paint: Callable[[Painter], None]


LOOKS = {
    "nv": Look(BROWN, 0.025, (0.12, 0.24), (BLACK, NEAR_BLACK, TAN), _paint_nv),
    "mel": Look(DARK_BROWN, 0.047, (0.06, 0.16), (BLACK, BLUE_BLACK, BLUE_WHITE, TAN), _paint_mel),
    "bkl": Look((0.66, 0.54, 0.40), 0.04, (0.04, 0.09), (DARK_BROWN, BLACK, SAND), _paint_bkl),
    "bcc": Look(PINK, 0.045, (0.12, 0.24), (BLUE_GREY, BLUE_BLACK, DARK_RED), _paint_bcc),
    "akiec": Look((0.80, 0.50, 0.46), 0.05, (0.12, 0.26), (DARK_RED, OCHRE, DARK_BROWN), _paint_akiec),
    "vasc": Look((0.80, 0.46, 0.46), 0.03, (0.06, 0.12), (BLACK, BLUE_BLACK, PURPLE), _paint_vasc),
    "df": Look((0.74, 0.55, 0.44), 0.02, (0.2, 0.34), (DARK_BROWN, NEAR_BLACK, MAROON), _paint_df),
}

MIMICS = {
    "nv": "mel",
    "mel": "nv",
    "bkl": "nv",
    "bcc": "akiec",
    "akiec": "bcc",
    "vasc": "bcc",
    "df": "bkl",
}
"""The diagnosis that a lesion of each resembles to some degree, or telling them apart would be too easy."""

LIKENESS = (0.45, 1.5)
"""Beta distribution of how much of a lesion's colour is its mimic's: mostly little, in some lesions nearly all."""

CONTRAST = 0.28
"""Distance in RGB from the lesion's mean colour from which an odd part is plain to see."""


def draw_lesion(rng: np.random.Generator, diagnosis: str, symmetry: str, resolution: int) -> Lesion:
    """Draw a lesion in its own frame.

    Without its odd parts every lesion is symmetric about both axes of the frame, so outline and colour differ from
    their mirror images only there. ``asymmetry`` marks the odd parts themselves, not the places across an axis that
    lack them: for an asymmetric lesion the odd structures, for a one-axis lesion the end that the other end does not
    match, for a two-axes lesion nothing.

    Args:
        rng: source of the random numbers; it moves on.
        diagnosis: one of the seven names of `HAM10000`.
        symmetry: one of the three names of `SYMMETRY`.
        resolution: side of the frame in pixels, even.
    """
    look, frame = LOOKS[diagnosis], Frame(resolution)
    odd_parts = draw_odd_parts(rng, symmetry)
    outline = draw_outline(rng, frame, look.irregularity, odd_parts)
    fade = np.float32(rng.uniform(*look.fade))
    coverage, even_coverage = (soft_step((1 - radius) / fade) for radius in (outline.radius, outline.even_radius))
    painter, mimic = (_painted(rng, frame, outline, LOOKS[drawn]) for drawn in (diagnosis, MIMICS[diagnosis]))
    painter.planes += np.float32(rng.beta(*LIKENESS)) * (mimic.planes - painter.planes)
    painter.mottle()
    ragged = even_noise(rng, frame, 0.3)
    weights = [part.weight(frame, ragged) for part in odd_parts]
    mean_colour = painter.planes[:, even_coverage >= 0.5].mean(axis=1)
    for weight, colour in zip(weights, _contrasting(rng, look.odd_colours, mean_colour), strict=False):
        painter.blend(weight, colour, rng.uniform(0.75, 0.9))
    inside = soft_step((coverage - np.float32(0.5)) * 8)
    odd = np.maximum.reduce([*weights, np.abs(coverage - even_coverage)]) * inside
    return Lesion(frame, np.ascontiguousarray(np.moveaxis(painter.planes, 0, 2).clip(0, 1)), coverage, odd)


def _contrasting(rng: np.random.Generator, colours: tuple[Colour, ...], other: Floats) -> list[Colour]:
    """Those colours that stand out from another, at least two, in random order."""
    contrasts = [float(np.linalg.norm(np.asarray(colour) - other)) for colour in colours]
    least = min(CONTRAST, sorted(contrasts)[-2])
    distinct = [colour for colour, contrast in zip(colours, contrasts, strict=True) if contrast >= least]
    return [distinct[place] for place in rng.permutation(len(distinct))]


def _painted(rng: np.random.Generator, frame: Frame, outline: Outline, look: Look) -> Painter:
    painter = Painter(rng, frame, outline, look.base)
    look.paint(painter)
    return painter
