"""What an image itself tells of how it was taken and of the skin: artefacts, and the individual typology angle.

All of it is estimated. Words of a catalog, where it has them, go first.
"""

from typing import NamedTuple

import cv2
import numpy as np

from selcn.data.imaging.prepare import prepare_mask, resize

PRESENT, ABSENT = "present", "absent"
ARTEFACTS = ("hair", "ruler", "vignette", "bubbles", "ink")
ITA = "ita"
APPEARANCE = (ITA, *ARTEFACTS)
SHORT = 240
"""Pixels of the short side at which images are looked at."""
MIN_SKIN = 0.02
"""Share of the image that must be skin for the angle to be measured."""
_AROUND = 0.08  # of the short side, that a mask is dilated by before what lies outside counts as skin
_DARK, _PALE = 40, 250  # grey levels beyond which a pixel is no skin: stops, vignettes, highlights
_HAIR_CONTRAST, _HAIR_LENGTH, _HAIR_WIDTH, _HAIR_SHARE = 22, 0.2, 0.09, 0.05
_MARK_CONTRAST, _MARK_LENGTH, _MARKS, _BAND = 30, (0.022, 0.2), 8, 0.22
_CORNER, _DIM = 0.06, 0.62
_GLINT_CONTRAST, _GLINT_ABOVE, _GLINT_AREA, _GLINTS = 45, 25, (2e-5, 2e-3), 2
_BLUER, _DARKER, _INK_SHARE, _INK_AROUND = 20, 10, 0.002, 0.012  # of b* and L* less than those of skin
_MIN_YELLOW = 1.0  # b* of skin, below which light or camera has turned it pink


class _Region(NamedTuple):
    """A connected region: its middle, length and width in shares of the short side, and direction in [0, 180)."""

    x: float
    y: float
    length: float
    width: float
    angle: float
    area: float


def measure_appearance(image: np.ndarray, mask: np.ndarray | None = None) -> dict[str, float | str]:
    """Estimate the individual typology angle and which artefacts an image shows.

    Artefacts are `present` or `absent`: `hair` (long thin dark lines), `ruler` (a row of short marks along an edge),
    `vignette` (four dark corners), `bubbles` (small highlights) and `ink` (violet or blue outside the lesion).

    Args:
        image: uint8 RGB (H, W, 3).
        mask: of the lesion at any size, bool (h, w); None where it is unknown: the angle is then NaN.

    Returns:
        `ita` in degrees and a word for each of `ARTEFACTS`.
    """
    height, width = image.shape[:2]
    scale = SHORT / min(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = resize(image, size)
    lesion = np.zeros(size[::-1], bool) if mask is None else prepare_mask(mask.astype(bool), size)
    around = _dilated(lesion, _AROUND)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    violet = _is_violet(small, ~around)
    found = {
        "hair": _has_hair(_dark(grey, _HAIR_CONTRAST) & ~_dilated(violet, _INK_AROUND)),
        "ruler": _has_ruler(_regions(_dark(grey, _MARK_CONTRAST)), size),
        "vignette": _has_vignette(grey),
        "bubbles": _has_bubbles(grey),
        "ink": _has_ink(violet & ~around),
    }
    angle = float("nan") if mask is None else typology_angle(small, ~around)
    words: dict[str, float | str] = {name: PRESENT if there else ABSENT for name, there in found.items()}
    return {ITA: angle, **words}


def typology_angle(image: np.ndarray, skin: np.ndarray) -> float:
    """Individual typology angle, arctan((L* - 50) / b*) in degrees, of the median colour of skin (Chardon et al. 1991).

    An estimate: it takes the image for sRGB in daylight, while cameras, exposure, white balance and polarisation
    differ, and estimates by different methods disagree (Kalb et al. 2023, arXiv:2305.09422).

    Args:
        image: uint8 RGB (H, W, 3).
        skin: where it may show skin, bool (H, W); very dark and very bright pixels are left out.

    Returns:
        -90 (dark) to 90 (light); NaN where less than `MIN_SKIN` of the image is left, or where the skin has no yellow
        (b* below 1), as under a pink white balance.
    """
    brightest = image.max(axis=2)
    chosen = skin & (brightest > _DARK) & (image.min(axis=2) < _PALE)
    if chosen.mean() < MIN_SKIN:
        return float("nan")
    lab = cv2.cvtColor(image[chosen][None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    lightness, yellowness = np.median(lab[:, 0]), np.median(lab[:, 2])
    if yellowness < _MIN_YELLOW:
        return float("nan")
    return float(np.degrees(np.arctan((lightness - 50) / yellowness)))


def _dilated(mask: np.ndarray, share: float) -> np.ndarray:
    reach = 2 * round(share * SHORT) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(bool)


def _dark(grey: np.ndarray, contrast: int) -> np.ndarray:
    """Thin dark structures, as a black-hat finds them."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
    found: np.ndarray = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, kernel) > contrast
    return found


def _regions(where: np.ndarray) -> list[_Region]:
    contours, _ = cv2.findContours(where.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = []
    for contour in contours:
        (x, y), (one, other), angle = cv2.minAreaRect(contour)
        one, other = one + 1, other + 1
        angle = angle if one >= other else angle + 90
        area, length = cv2.contourArea(contour) + len(contour) / 2 + 1, max(one, other)
        # Bent lines have wide boxes; their width is what their area says.
        width = min(min(one, other), area / length)
        found.append(_Region(x, y, length / SHORT, width / SHORT, angle % 180, area / SHORT**2))
    return found


def _has_hair(dark: np.ndarray) -> bool:
    """Whether a long thin line is among thin dark structures, or so many that they form a net."""
    long = (one.length > _HAIR_LENGTH and one.width < _HAIR_WIDTH for one in _regions(dark))
    return float(dark.mean()) > _HAIR_SHARE or any(long)


def _has_ruler(marks: list[_Region], size: tuple[int, int]) -> bool:
    width, height = size
    thin = [m for m in marks if _MARK_LENGTH[0] < m.length < _MARK_LENGTH[1] and m.length > 1.6 * m.width]
    sides = {
        "left": [m for m in thin if m.x < _BAND * width and _across(m.angle, 0)],
        "right": [m for m in thin if m.x > (1 - _BAND) * width and _across(m.angle, 0)],
        "top": [m for m in thin if m.y < _BAND * height and _across(m.angle, 90)],
        "bottom": [m for m in thin if m.y > (1 - _BAND) * height and _across(m.angle, 90)],
    }
    return any(len(own) >= _MARKS for own in sides.values())


def _across(angle: float, wanted: float) -> bool:
    off = abs(angle - wanted) % 180
    return min(off, 180 - off) < 20


def _has_vignette(grey: np.ndarray) -> bool:
    """Whether even the brightest corner is much darker than the brighter skin."""
    side = max(2, round(_CORNER * SHORT))
    corners = [grey[:side, :side], grey[:side, -side:], grey[-side:, :side], grey[-side:, -side:]]
    return max(float(np.median(one)) for one in corners) < _DIM * float(np.percentile(grey, 75))


def _has_bubbles(grey: np.ndarray) -> bool:
    """Whether there are several small round highlights."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))
    sharp = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, kernel) > _GLINT_CONTRAST
    spots = _regions(sharp & (grey > np.percentile(grey, 75) + _GLINT_ABOVE))
    round_ = [s for s in spots if _GLINT_AREA[0] < s.area < _GLINT_AREA[1] and s.length < 2.5 * s.width]
    return len(round_) >= _GLINTS


def _is_violet(image: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Where an image is bluer and darker than the skin, which may itself be photographed violet."""
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    usual = np.median(lab[skin] if skin.any() else lab.reshape(-1, 3), axis=0)
    lightness, _, yellowness = np.moveaxis(usual - lab, 2, 0)
    found: np.ndarray = (yellowness > _BLUER) & (lightness > _DARKER) & (lab[..., 2] < 0)
    return found


def _has_ink(violet: np.ndarray) -> bool:
    opened = cv2.morphologyEx(violet.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return float(opened.mean()) > _INK_SHARE
