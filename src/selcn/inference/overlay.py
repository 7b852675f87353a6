"""What a prediction says, drawn on its picture: outlines, saliency, and both beside one another with a caption."""

from collections.abc import Sequence

import cv2
import numpy as np

from selcn.data.imaging.prepare import prepare_mask, resize
from selcn.inference.result import Prediction
from selcn.io.files import data_uri

PREDICTED_COLOUR = (86, 212, 255)
TRUE_COLOUR = (255, 225, 77)
TALLEST = 4  # times the greatest width
OPACITY = 0.75  # of the colour where saliency is 1; it falls to 0 with the saliency
JPEG_QUALITY = 82
PANEL_WIDTHS = (320, 800)  # pixels: smaller pictures are enlarged, or no caption could be read; larger ones shrink

_CASING = (16, 16, 16)
_DASH = 6  # pixels of contour a pixel of line thickness
_FEWEST_DASHES = 8  # of a small region
_TO_OPENCV = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GAP = 0.02  # of a panel's width, between and around panels
_BACKGROUND, _INK, _FAINT_INK = 255, (24, 24, 24), (95, 95, 95)
_LINE = 0.075  # of a panel's width, from one line of the caption to the next


def draw_overlay(picture: np.ndarray, prediction: Prediction) -> np.ndarray:
    """The outlined picture beside both saliency maps, with labels and probabilities below.

    Args:
        picture: uint8 RGB (H, W, 3).
        prediction: what was said of it.

    Returns:
        uint8 RGB; three panels side by side, each of the picture's aspect and within ``PANEL_WIDTHS``.

    Example:
        >>> import selcn
        >>> picture = np.full((300, 400, 3), 180, np.uint8)
        >>> drawn = draw_overlay(picture, selcn.load("runs/demo/bundle").predict(picture))
        >>> drawn.shape[1] > 3 * picture.shape[1], drawn.dtype
        (True, dtype('uint8'))
    """
    panel = resize(picture, panel_size(picture, *PANEL_WIDTHS))
    panels = [
        draw_outline(panel, prediction.mask, PREDICTED_COLOUR),
        blend_saliency(panel, prediction.symmetry_saliency),
        blend_saliency(panel, prediction.diagnosis_saliency),
    ]
    height, width = panel.shape[:2]
    gap, line = max(1, round(_GAP * width)), round(_LINE * width)
    captions = _captions(prediction)
    sheet = np.full(
        (height + 2 * gap + line * max(map(len, captions)) + gap, 3 * width + 4 * gap, 3), _BACKGROUND, np.uint8
    )
    for number, (drawn, lines) in enumerate(zip(panels, captions, strict=True)):
        left = gap + number * (width + gap)
        sheet[gap : gap + height, left : left + width] = drawn
        for row, text in enumerate(lines, start=1):
            _write(sheet, text, (left, height + gap + row * line), width, emphasised=row == 2)
    return sheet


def panel_size(picture: np.ndarray, least: int, most: int) -> tuple[int, int]:
    """Width and height of a picture (H, W, 3) brought between two widths; its aspect is kept, but of a strip."""
    height, width = picture.shape[:2]
    panel_width = min(max(width, least), most)
    # A strip a pixel wide would else be enlarged to more than memory holds.
    return panel_width, min(max(1, round(height * panel_width / width)), TALLEST * most)


def draw_outline(
    picture: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int], *, dashed: bool = False
) -> np.ndarray:
    """A copy of the picture with the border of every lesion region, cased in black to be seen on skin of any colour.

    Args:
        picture: uint8 RGB (H, W, 3).
        mask: bool, of any size but the picture's aspect.
        colour: RGB of the line.
        dashed: broken, to tell a second outline from the first without colour.
    """
    drawn = picture.copy()
    scaled = prepare_mask(mask, (picture.shape[1], picture.shape[0])).astype(np.uint8)
    contours, _ = cv2.findContours(scaled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    thickness = line_thickness(picture.shape[1])
    lines = _dashes(contours, _DASH * thickness) if dashed else contours
    for ink, width in ((_CASING, thickness + 2), (colour, thickness)):
        cv2.polylines(drawn, lines, not dashed, ink, width, cv2.LINE_AA)
    return drawn


def line_thickness(width: int) -> int:
    """Pixels of an outline on a picture of that width."""
    return max(2, round(width / 200))  # a smoothed line of one pixel would lose its colour


def blend_saliency(picture: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """The picture under its saliency, clear where that is low.

    The colours are viridis: perceptually uniform, and safe for the colour-blind.

    Args:
        picture: uint8 RGB (H, W, 3).
        saliency: float (h, w) in [0, 1], of any size; enlarged bilinearly.
    """
    colours, opacity = _coloured(saliency, (picture.shape[1], picture.shape[0]))
    blended = picture * (1 - OPACITY * opacity) + colours * (OPACITY * opacity)
    return blended.round().astype(np.uint8)


def saliency_layer(saliency: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """What `blend_saliency` lays over a picture, by itself: uint8 RGBA (H, W, 4), opaque where saliency is 1.

    Args:
        saliency: float (h, w) in [0, 1].
        size: width and height of the layer.
    """
    colours, opacity = _coloured(saliency, size)
    return np.concatenate([colours, (opacity * 255).round().astype(np.uint8)], axis=2)


def embed(picture: np.ndarray, kind: str) -> str:
    """A picture as a `data:` URI.

    Args:
        picture: uint8 grey (H, W), RGB (H, W, 3) or RGBA (H, W, 4).
        kind: "jpeg" or "png".
    """
    stored = cv2.cvtColor(picture, _TO_OPENCV[picture.shape[2]]) if picture.ndim > 2 else picture
    settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if kind == "jpeg" else []
    return data_uri(f"image/{kind}", cv2.imencode(f".{kind}", stored, settings)[1].tobytes())


def _coloured(saliency: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Colours, uint8 RGB (H, W, 3), and how much they cover, (H, W, 1) in [0, 1]."""
    enlarged = resize(saliency.astype(np.float32), size).clip(0, 1)
    colours = cv2.applyColorMap((enlarged * 255).round().astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    return cv2.cvtColor(colours, cv2.COLOR_BGR2RGB), enlarged[..., None]


def _dashes(contours: Sequence[np.ndarray], length: int) -> list[np.ndarray]:
    return [
        dash
        for contour in contours
        for dash in np.array_split(contour, 2 * max(_FEWEST_DASHES, len(contour) // (2 * length)))[::2]
        if len(dash)
    ]


def _captions(prediction: Prediction) -> list[list[str]]:
    """Lines below the three panels; ASCII, which is all that OpenCV's font holds."""
    share = f"{100 * prediction.mask.mean():.0f} % of the picture" if prediction.mask.any() else "no lesion found"
    return [
        ["lesion", share, "research tool, not a medical device"],
        ["symmetry saliency", *_ranked(prediction.symmetry)],
        ["diagnosis saliency", *_ranked(prediction.diagnosis)],
    ]


def _ranked(probabilities: dict[str, float]) -> list[str]:
    """The likeliest class on a line, the next two on another."""
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])[:3]
    first, *others = [f"{name} {probability:.2f}" for name, probability in ranked]
    return [first, ", ".join(others)]


def _write(sheet: np.ndarray, text: str, corner: tuple[int, int], room: int, *, emphasised: bool) -> None:
    """Write a line whose lower left is ``corner``, in letters as high as fit the ``room`` in pixels."""
    thickness = max(1, round(room / 400)) + emphasised
    wanted = cv2.getFontScaleFromHeight(_FONT, round(_LINE * room * 0.55), thickness)
    (width, _), _ = cv2.getTextSize(text, _FONT, wanted, thickness)
    scale = wanted * min(1.0, room / width)
    cv2.putText(sheet, text, corner, _FONT, scale, _INK if emphasised else _FAINT_INK, thickness, cv2.LINE_AA)
