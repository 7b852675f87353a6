"""A prediction drawn on its image: outlines, saliency, and both side by side with captions, caveats and a legend."""

import textwrap
from collections.abc import Sequence

import cv2
import numpy as np

from selcn.data.imaging.prepare import prepare_mask, resize
from selcn.inference.result import ClassResult, Prediction
from selcn.io.files import data_uri

PREDICTED_COLOUR = (86, 212, 255)
TRUE_COLOUR = (255, 225, 77)
OPACITY = 0.75  # of the colour where saliency is 1; it falls to 0 with the saliency
JPEG_QUALITY = 82
PANEL_WIDTHS = (320, 800)  # pixels: smaller images are enlarged, or no caption could be read; larger ones shrink
MAX_ASPECT = 4  # height of a panel, as a multiple of the greatest width

_CASING = (16, 16, 16)
_DASH = 6  # pixels of contour a pixel of line thickness
_MIN_DASHES = 8  # of a small region
_TO_OPENCV = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GAP = 0.02  # of a panel's width, between and around panels
_BACKGROUND, _INK, _FAINT_INK = 255, (24, 24, 24), (95, 95, 95)
_LINE = 0.075  # of a panel's width, from one line of the caption to the next
_LETTERS = 34  # of a line as high as one of the caption, on the width of a panel


def draw_overlay(image: np.ndarray, prediction: Prediction, about: Sequence[str] = ()) -> np.ndarray:
    """The outlined image beside the saliency of each classifier, with labels and probabilities below.

    Abstention, warnings and a legend of the colours stand under them, so that the sheet can be read alone.

    Args:
        image: uint8 RGB (H, W, 3).
        prediction: of the image.
        about: further lines, such as the names of the file and of the model.

    Returns:
        uint8 RGB; panels side by side, each of the image's aspect and within ``PANEL_WIDTHS``.

    Example:
        >>> import selcn
        >>> image = np.full((300, 400, 3), 180, np.uint8)
        >>> drawn = draw_overlay(image, selcn.load("runs/demo/bundle").predict(image))
        >>> drawn.shape[1] > 3 * image.shape[1], drawn.dtype
        (True, dtype('uint8'))
    """
    panel = resize(image, panel_size(image, *PANEL_WIDTHS))
    first = panel if prediction.lesion is None else draw_outline(panel, prediction.lesion.mask, PREDICTED_COLOUR)
    panels = [first, *(blend_saliency(panel, one.saliency) for one in prediction.results.values())]
    sheet = arrange(panels, _captions(prediction), len(panels))
    return np.concatenate([sheet, _footer(prediction, about, len(panels), sheet.shape[1])])


def arrange(panels: Sequence[np.ndarray], captions: Sequence[Sequence[str]], columns: int) -> np.ndarray:
    """Panels in rows on a white sheet, each with its caption below.

    Args:
        panels: uint8 RGB (H, W, 3), all of one size.
        captions: lines of ASCII of each panel; the second is emphasised.
        columns: panels a row.

    Returns:
        uint8 RGB.
    """
    height, width = panels[0].shape[:2]
    gap, line = max(1, round(_GAP * width)), round(_LINE * width)
    row_height = height + 2 * gap + line * max(map(len, captions))
    rows = -(-len(panels) // columns)
    sheet = np.full((rows * row_height + gap, columns * (width + gap) + gap, 3), _BACKGROUND, np.uint8)
    for number, (drawn, lines) in enumerate(zip(panels, captions, strict=True)):
        left, top = gap + number % columns * (width + gap), number // columns * row_height + gap
        sheet[top : top + height, left : left + width] = drawn
        for row, text in enumerate(lines, start=1):
            _write(sheet, text, (left, top + height + row * line), width, line, emphasised=row == 2)
    return sheet


def render(
    image: np.ndarray, prediction: Prediction, about: Sequence[str] = (), *, overlay: bool = True, mask: bool = True
) -> dict[str, np.ndarray]:
    """The image files of a prediction's row, by the row's key.

    Args:
        image: uint8 RGB (H, W, 3).
        prediction: of the image.
        about: further lines of the overlay; see `draw_overlay`.
        overlay: whether to return `overlay`, RGB; see `draw_overlay`.
        mask: whether to return `mask`, grey (H, W), 255 on the lesion and 0 elsewhere, where there is a segmentation.
    """
    drawn = {"overlay": draw_overlay(image, prediction, about)} if overlay else {}
    if mask and prediction.lesion is not None:
        drawn["mask"] = prediction.lesion.mask.astype(np.uint8) * 255
    return drawn


def panel_size(image: np.ndarray, least: int, most: int) -> tuple[int, int]:
    """Width and height of an image scaled to lie between two widths.

    Args:
        image: (H, W, ...).
        least: smallest width, in pixels.
        most: greatest width, in pixels.

    Returns:
        A size of the image's aspect, but no higher than ``MAX_ASPECT * most``.
    """
    height, width = image.shape[:2]
    panel_width = min(max(width, least), most)
    # A strip a pixel wide would else be enlarged to more than memory holds.
    return panel_width, min(max(1, round(height * panel_width / width)), MAX_ASPECT * most)


def draw_outline(
    image: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int], *, dashed: bool = False
) -> np.ndarray:
    """A copy of the image with the border of every lesion region, cased in black to be seen on skin of any colour.

    Args:
        image: uint8 RGB (H, W, 3).
        mask: bool (h, w), of any size but the image's aspect.
        colour: RGB of the line, 0 to 255.
        dashed: broken, to tell a second outline from the first without colour.
    """
    drawn = image.copy()
    scaled = prepare_mask(mask, (image.shape[1], image.shape[0])).astype(np.uint8)
    contours, _ = cv2.findContours(scaled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    thickness = line_thickness(image.shape[1])
    lines = _dashes(contours, _DASH * thickness) if dashed else contours
    for ink, width in ((_CASING, thickness + 2), (colour, thickness)):
        cv2.polylines(drawn, lines, not dashed, ink, width, cv2.LINE_AA)
    return drawn


def line_thickness(width: int) -> int:
    """Thickness of an outline, in pixels.

    Args:
        width: of the image, in pixels.
    """
    return max(2, round(width / 200))  # a smoothed line of one pixel would lose its colour


def blend_saliency(image: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """The image with its saliency blended over it, transparent where that is low.

    The colour map is viridis: perceptually uniform, and safe for the colour-blind.

    Args:
        image: uint8 RGB (H, W, 3).
        saliency: float (h, w) in [0, 1], of any size; enlarged bilinearly.
    """
    colours, opacity = _coloured(saliency, (image.shape[1], image.shape[0]))
    blended = image * (1 - OPACITY * opacity) + colours * (OPACITY * opacity)
    return blended.round().astype(np.uint8)


def saliency_layer(saliency: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The layer that `blend_saliency` blends over an image: uint8 RGBA (H, W, 4), opaque where saliency is 1.

    Args:
        saliency: float (h, w) in [0, 1].
        size: width and height of the layer.
    """
    colours, opacity = _coloured(saliency, size)
    return np.concatenate([colours, (opacity * 255).round().astype(np.uint8)], axis=2)


def embed(image: np.ndarray, kind: str) -> str:
    """An image as a `data:` URI.

    Args:
        image: uint8 grey (H, W), RGB (H, W, 3) or RGBA (H, W, 4).
        kind: "jpeg" or "png".
    """
    stored = cv2.cvtColor(image, _TO_OPENCV[image.shape[2]]) if image.ndim > 2 else image
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
        for dash in np.array_split(contour, 2 * max(_MIN_DASHES, len(contour) // (2 * length)))[::2]
        if len(dash)
    ]


def _captions(prediction: Prediction) -> list[list[str]]:
    """Lines below the panels; ASCII, which is all that OpenCV's font holds."""
    lesion = prediction.lesion
    found = "" if lesion is None else "no lesion found"
    share = f"{100 * lesion.mask.mean():.0f} % of the image" if lesion is not None and lesion.mask.any() else found
    return [
        ["image" if lesion is None else "lesion", share, "research tool, not a medical device"],
        *(
            [f"{name} saliency", *(_ranked(one) if one.defined else [one.prediction, ""])]
            for name, one in prediction.results.items()
        ),
    ]


def _ranked(result: ClassResult) -> list[str]:
    """The predicted class on a line, the two most probable of the others on another."""
    ranked = sorted(result.probabilities.items(), key=lambda item: (item[0] != result.prediction, -item[1]))[:3]
    first, *others = [f"{name} {probability:.2f}" for name, probability in ranked]
    return [first, ", ".join(others)]


def _footer(prediction: Prediction, about: Sequence[str], columns: int, width: int) -> np.ndarray:
    """The strip below the captions of ``columns`` panels: caveats, legend, and what else is to be told."""
    panel = round(width / columns / (1 + _GAP))
    left, line = max(1, round(_GAP * panel)), round(_LINE * panel)
    caveats = ["ABSTAINS: the answer is too uncertain to rely on"] if prediction.abstain else []
    caveats += [f"warnings: {', '.join(prediction.warnings)}"] if prediction.warnings else []
    given = [f"given, not predicted: {', '.join(prediction.given)}"] if prediction.given else []

    def wrapped(texts: Sequence[str]) -> list[str]:
        ascii_only = [text.encode("ascii", "replace").decode() for text in texts]
        return [part for text in ascii_only for part in textwrap.wrap(text, _LETTERS * columns)]

    first, last = wrapped(caveats or ["no abstention, no warnings"]), wrapped([*given, *about])
    legend = _legend(prediction, line)
    lines = len(first) + len(legend) + len(last)
    strip = np.full((line * lines + line // 2, width, 3), _BACKGROUND, np.uint8)
    room = width - 2 * left
    for row, text in enumerate(first, start=1):
        _write(strip, text, (left, row * line), room, line, emphasised=bool(caveats))
    for row, (sample, text) in enumerate(legend, start=len(first) + 1):
        top = row * line - sample.shape[0]
        strip[top : row * line, left : left + sample.shape[1]] = sample
        beside = left + sample.shape[1] + line // 2
        _write(strip, text, (beside, row * line), width - left - beside, line, emphasised=False)
    for row, text in enumerate(last, start=len(first) + len(legend) + 1):
        _write(strip, text, (left, row * line), room, line, emphasised=False)
    return strip


def _legend(prediction: Prediction, line: int) -> list[tuple[np.ndarray, str]]:
    """A sample of each colour, as the panels show it on white, and what it means."""
    size = (max(2, line * 6 // 10), 3 * line, 3)
    border = np.full(size, _BACKGROUND, np.uint8)
    cv2.line(border, (0, size[0] // 2), (size[1], size[0] // 2), _CASING, max(4, line // 5))
    cv2.line(border, (0, size[0] // 2), (size[1], size[0] // 2), PREDICTED_COLOUR, max(2, line // 5 - 2))
    ramp = blend_saliency(np.full(size, _BACKGROUND, np.uint8), np.linspace(0, 1, size[1], dtype=np.float32)[None])
    outlined = [(border, "border of the lesion")] if prediction.lesion is not None else []
    return [*outlined, *([(ramp, "saliency, from 0 (clear) to 1 (yellow)")] if prediction.results else [])]


def _write(sheet: np.ndarray, text: str, corner: tuple[int, int], room: int, line: int, *, emphasised: bool) -> None:
    """Write a line whose lower left is ``corner``, in letters that fit ``line`` and ``room``, both in pixels."""
    thickness = max(1, round(line / _LINE / 400)) + emphasised
    wanted = cv2.getFontScaleFromHeight(_FONT, round(line * 0.55), thickness)
    (width, _), _ = cv2.getTextSize(text, _FONT, wanted, thickness)
    scale = wanted * min(1.0, room / max(width, 1))
    cv2.putText(sheet, text, corner, _FONT, scale, _INK if emphasised else _FAINT_INK, thickness, cv2.LINE_AA)
