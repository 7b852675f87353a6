"""Photographs of a lesion: each turned, sized, shifted and lit anew, with the truth that goes with it."""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from selcn.data.phantom.appearance import Lesion
from selcn.data.phantom.scene import compose
from selcn.data.phantom.shape import Bytes, Floats

SKIN_TONES = ((0.94, 0.80, 0.74), (0.91, 0.73, 0.66), (0.86, 0.66, 0.56), (0.75, 0.55, 0.44), (0.58, 0.41, 0.32))
TONE_SHARES = (0.3, 0.3, 0.2, 0.12, 0.08)
OVERSAMPLING = 2


@dataclass(frozen=True)
class Person:
    """What all photographs of a lesion share: the skin's RGB, and the lesion's radius as a share of the short side."""

    skin: Floats
    lesion_radius: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw a skin tone and a size of lesion.

        Args:
            rng: source of the random numbers; it moves on.
        """
        tone = np.array(SKIN_TONES)[rng.choice(len(SKIN_TONES), p=TONE_SHARES)]
        skin = np.asarray(tone + rng.normal(0, 0.02) + rng.normal(0, 0.008, 3), dtype=np.float32)
        return cls(skin, rng.uniform(0.29, 0.41))


@dataclass(frozen=True)
class Photograph:
    """One photograph and all that is known of it.

    ``image`` (height, width, 3) RGB; ``mask`` (height, width) 0 or 255; ``asymmetry`` (height, width) 0 to 255, zero
    outside the mask. ``placement`` (2, 3) takes a point (x, y, 1) of the lesion's frame to (column, row).
    """

    image: Bytes
    mask: Bytes
    asymmetry: Bytes
    placement: NDArray[np.float64]


def take_photograph(lesion: Lesion, person: Person, rng: np.random.Generator, size: tuple[int, int]) -> Photograph:
    """Photograph a lesion; ``size`` is (width, height) in pixels.

    Of ``lesion`` only its pixels and its reach matter: what lies around it depends on ``rng`` and ``person`` alone.

    Args:
        lesion: in its own frame.
        person: whose lesion it is.
        rng: source of the random numbers; it moves on.
        size: width and height in pixels.
    """
    placement = _draw_placement(rng, size, person.lesion_radius, lesion.reach)
    colour, coverage, asymmetry = _place(lesion, placement, size)
    image = _reduce(compose(rng, person.skin, colour, coverage), size)
    noise = rng.uniform(0.002, 0.006) * rng.standard_normal(image.shape, dtype=np.float32)
    mask = _reduce(coverage, size) >= 0.5
    return Photograph(_as_bytes(image + noise), _as_bytes(mask), _as_bytes(_reduce(asymmetry, size) * mask), placement)


def _reduce(field: Floats, size: tuple[int, int]) -> Floats:
    return np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _as_bytes(field: NDArray[np.float32 | np.bool_]) -> Bytes:
    return np.asarray(np.round(np.clip(field, 0, 1) * np.float32(255)), dtype=np.uint8)


def _draw_placement(
    rng: np.random.Generator, size: tuple[int, int], lesion_radius: float, reach: float
) -> NDArray[np.float64]:
    """Turn, scale and shift by chance, (2, 3); the lesion stays inside the photograph."""
    angle = rng.uniform(0, 2 * np.pi)
    radius = min(size) * lesion_radius * rng.uniform(0.93, 1.07)
    room = np.maximum(np.array(size) / 2 - radius - 0.03 * min(size), 0)
    centre = (np.array(size) - 1) / 2 + rng.uniform(-1, 1, 2) * np.minimum(room, 0.12 * np.array(size))
    cosine, sine = radius / reach * np.array([np.cos(angle), np.sin(angle)])
    return np.array([[cosine, -sine, centre[0]], [sine, cosine, centre[1]]])


def _place(lesion: Lesion, placement: NDArray[np.float64], size: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """The lesion's colour, coverage and asymmetry on the photograph's oversampled grid."""
    pitch, middle = lesion.frame.pitch, (lesion.frame.resolution - 1) / 2
    from_pixels = np.array([[pitch, 0, -pitch * middle], [0, pitch, -pitch * middle], [0, 0, 1]])
    matrix = OVERSAMPLING * placement @ from_pixels
    matrix[:, 2] += (OVERSAMPLING - 1) / 2
    target = (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)
    fields = np.stack([lesion.coverage, lesion.asymmetry], axis=-1)
    placed = np.asarray(cv2.warpAffine(fields, matrix, target, flags=cv2.INTER_LINEAR), dtype=np.float32)
    colour = cv2.warpAffine(lesion.colour, matrix, target, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(colour, dtype=np.float32), placed[..., 0], placed[..., 1]
