"""Corruptions of dermoscopic images, each at five severities: blur, light, compression, noise, artefacts, geometry.

Hairs, rulers, bubbles, ink and vignettes are drawn with the phantom's own brushes. Lengths are shares of the image's
short side, so that a severity looks alike at every resolution (after Hendrycks & Dietterich 2019, arXiv:1903.12261).
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from selcn.data.phantom.scene import Grid, add_bubbles, add_hairs, add_ink, add_ruler, vignette
from selcn.data.phantom.shape import Bytes, Floats
from selcn.errors import ConfigError

CLEAN = "clean"
SEVERITIES = (1, 2, 3, 4, 5)
_MIN_RADIUS = 0.6  # pixels; a smaller disc covers no second pixel
Matrix = NDArray[np.float64]
Change = Callable[[np.random.Generator, Floats, float], Floats]
"""From RGB in [0, 1], (H, W, 3), and an amount to the corrupted image; values outside [0, 1] are clipped later."""
Move = Callable[[np.random.Generator, tuple[int, int], float], Matrix]
"""From width and height and an amount to the matrix (2, 3) that takes a pixel (x, y, 1) to its new place."""


@dataclass(frozen=True)
class Corruption:
    """One way to spoil an image.

    Attributes:
        name: for commands and tables.
        amounts: at the five severities.
        meaning: of the amounts.
        change: of colours; None where pixels only move.
        move: of pixels; None where they stay.
    """

    name: str
    amounts: tuple[float, float, float, float, float]
    meaning: str
    change: Change | None = None
    move: Move | None = None


def corrupt(image: Bytes, corruption: str, severity: int, rng: np.random.Generator) -> Bytes:
    """Spoil an image, uint8 RGB (H, W, 3) of the same size.

    Args:
        image: uint8 RGB (H, W, 3).
        corruption: a name of `CORRUPTIONS`, or `CLEAN`.
        severity: 1 to 5; of `CLEAN` any.
        rng: source of the random numbers, see `generator_of`; it moves on.

    Raises:
        ConfigError: there is no such corruption or severity.
    """
    if corruption == CLEAN:
        return image
    chosen, amount = find_corruption(corruption), amount_of(corruption, severity)
    if chosen.move:
        size = (image.shape[1], image.shape[0])
        moved = cv2.warpAffine(
            image, chosen.move(rng, size, amount), size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(moved, dtype=np.uint8)
    assert chosen.change
    changed = chosen.change(rng, np.asarray(image.astype(np.float32) / 255, dtype=np.float32), amount)
    return np.round(np.clip(changed, 0, 1) * 255).astype(np.uint8)


def move_of(corruption: str, severity: int, size: tuple[int, int], rng: np.random.Generator) -> Matrix | None:
    """Where pixels go, a matrix (2, 3) that takes (x, y, 1) to its new place; None where they stay.

    Args:
        corruption: a name of `CORRUPTIONS`, or `CLEAN`.
        severity: 1 to 5.
        size: width and height of the image, or of any copy of it in another size.
        rng: like that of `corrupt`.
    """
    move = None if corruption == CLEAN else find_corruption(corruption).move
    return move(rng, size, amount_of(corruption, severity)) if move else None


def generator_of(seed: int, image_id: str, corruption: str) -> np.random.Generator:
    """The random numbers of one image under one corruption: the same at every severity, whatever was drawn before.

    Args:
        seed: of a whole measurement.
        image_id: of the image.
        corruption: its name.
    """
    return np.random.default_rng([seed, *(zlib.crc32(text.encode()) for text in (image_id, corruption))])


def find_corruption(name: str) -> Corruption:
    """A corruption by its name.

    Args:
        name: see `CORRUPTIONS`.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in CORRUPTIONS:
        raise ConfigError(f"corruption {name}: unknown; known are {', '.join(CORRUPTIONS)}")
    return CORRUPTIONS[name]


def amount_of(name: str, severity: int) -> float:
    """How strong a corruption is at a severity.

    Args:
        name: see `CORRUPTIONS`.
        severity: 1 to 5.

    Raises:
        ConfigError: there is no such corruption or severity.
    """
    if severity not in SEVERITIES:
        raise ConfigError(f"severity {severity}: give one of {', '.join(map(str, SEVERITIES))}")
    return find_corruption(name).amounts[severity - 1]


def _defocus(_rng: np.random.Generator, image: Floats, radius: float) -> Floats:
    radius = max(radius * min(image.shape[:2]), _MIN_RADIUS)
    reach = math.ceil(radius)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1)
    return _filtered(image, disc)


def _motion(rng: np.random.Generator, image: Floats, length: float) -> Floats:
    angle, length = rng.uniform(0, np.pi), length * min(image.shape[:2])
    reach = math.ceil(length / 2) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for along in np.linspace(-length / 2, length / 2, 8 * reach + 1):
        x, y = reach + along * math.cos(angle), reach + along * math.sin(angle)
        column, row = math.floor(x), math.floor(y)
        across, down = x - column, y - row
        kernel[row : row + 2, column : column + 2] += np.outer([1 - down, down], [1 - across, across])
    return _filtered(image, kernel)


def _filtered(image: Floats, kernel: Matrix) -> Floats:
    found = cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(found, dtype=np.float32)


def _brightness(rng: np.random.Generator, image: Floats, amount: float) -> Floats:
    return image * np.float32(1 + amount * rng.choice([-1, 1]))


def _white_balance(rng: np.random.Generator, image: Floats, amount: float) -> Floats:
    direction = rng.standard_normal(3)
    direction -= direction.mean()
    gains = 1 + amount * direction / np.abs(direction).max()
    balanced: Floats = image * gains.astype(np.float32)
    return balanced


def _jpeg(_rng: np.random.Generator, image: Floats, quality: float) -> Floats:
    pixels = np.round(image[..., ::-1] * 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded[..., ::-1], dtype=np.float32) / np.float32(255)


def _noise(rng: np.random.Generator, image: Floats, deviation: float) -> Floats:
    return image + np.float32(deviation) * rng.standard_normal(image.shape, dtype=np.float32)


def _vignette(_rng: np.random.Generator, image: Floats, depth: float) -> Floats:
    grid = Grid.of((image.shape[0], image.shape[1]))
    distance = np.hypot(grid.right, grid.down)
    return image * vignette(distance / distance.max(), depth)[..., None]


def _brushed(brush: Callable[[np.random.Generator, Grid, Floats, Any], Floats]) -> Change:
    """A change by a brush of the phantom, which paints planes of colour."""

    def change(rng: np.random.Generator, image: Floats, amount: float) -> Floats:
        grid = Grid.of((image.shape[0], image.shape[1]))
        painted = brush(rng, grid, np.ascontiguousarray(np.moveaxis(image, 2, 0)), amount)
        return np.ascontiguousarray(np.moveaxis(painted, 0, 2))

    return change


def _rotation(rng: np.random.Generator, size: tuple[int, int], degrees: float) -> Matrix:
    return _about_middle(size, degrees * rng.choice([-1, 1]), 1)


def _crop(rng: np.random.Generator, size: tuple[int, int], share: float) -> Matrix:
    window = np.array(size) * share
    corner = rng.uniform(0, 1, 2) * (np.array(size) - window)
    return np.column_stack([np.eye(2) / share, (0.5 / share - 0.5) - corner / share])  # pixels' centres, not corners


def _scale(_rng: np.random.Generator, size: tuple[int, int], factor: float) -> Matrix:
    return _about_middle(size, 0, factor)


def _about_middle(size: tuple[int, int], degrees: float, factor: float) -> Matrix:
    middle = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    return np.asarray(cv2.getRotationMatrix2D(middle, degrees, factor), dtype=np.float64)


CORRUPTIONS = {
    one.name: one
    for one in (
        Corruption("defocus", (0.006, 0.01, 0.016, 0.024, 0.035), "radius of the disc", _defocus),
        Corruption("motion", (0.01, 0.02, 0.035, 0.055, 0.085), "length of the path", _motion),
        Corruption("brightness", (0.1, 0.2, 0.3, 0.4, 0.5), "share of light more or less", _brightness),
        Corruption("white-balance", (0.04, 0.08, 0.14, 0.2, 0.3), "largest gain of a channel", _white_balance),
        Corruption("jpeg", (50, 30, 18, 10, 5), "quality", _jpeg),
        Corruption("noise", (0.02, 0.04, 0.08, 0.12, 0.18), "standard deviation", _noise),
        Corruption("hair", (4, 8, 16, 32, 64), "number of hairs", _brushed(add_hairs)),
        Corruption("ruler", (0.7, 1.0, 1.6, 2.4, 3.5), "reach of the marks, 1 as in the phantom", _brushed(add_ruler)),
        Corruption("bubbles", (4, 8, 16, 32, 64), "number of bubbles", _brushed(add_bubbles)),
        Corruption("ink", (1, 2, 3, 5, 8), "number of strokes", _brushed(add_ink)),
        Corruption("vignette", (0.3, 0.5, 0.7, 0.85, 1), "share of light lost in the corners", _vignette),
        Corruption("rotation", (15, 30, 45, 60, 90), "degrees", move=_rotation),
        Corruption("crop", (0.95, 0.9, 0.8, 0.7, 0.6), "share of width and height that is kept", move=_crop),
        Corruption("scale", (0.9, 0.8, 0.7, 0.6, 0.5), "size of the lesion relative to before", move=_scale),
    )
}
"""Every corruption by name."""
