"""Draw the cascade with the shapes of its tensors: `python docs/images/method.py` writes an SVG a theme."""

from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import torch

from selcn.models.backbones import build_backbone

HEIGHT, WIDTH = 144, 192
THEMES = {
    "light": {"ink": "#1f2328", "faint": "#59636e", "data": "#ffffff", "network": "#ddf4ff", "line": "#59636e"},
    "dark": {"ink": "#f0f6fc", "faint": "#9198a1", "data": "#151b23", "network": "#0c2d6b", "line": "#9198a1"},
}
ROW = 52


class Box(NamedTuple):
    """A network, or a tensor with its shape, with its left upper corner."""

    title: str
    note: str
    left: int
    top: int
    width: int
    network: bool = False


def boxes() -> dict[str, Box]:
    """Everything that is drawn, by name."""
    with torch.no_grad():
        _, channels, height, width = build_backbone("squeezenet1_1")(torch.zeros(1, 3, HEIGHT, WIDTH)).shape
    grid = f"{height} × {width}"
    return {
        "image": Box("image", f"3 × {HEIGHT} × {WIDTH}", 16, 126, 116),
        "lesion": Box("lesion", "U-Net", 164, 24, 120, network=True),
        "mask": Box("mask", f"1 × {HEIGHT} × {WIDTH}", 316, 24, 132),
        "masking": Box("masking", "none, segmentation, lae", 300, 126, 164),
        "symmetry": Box("symmetry", "backbone and head", 500, 126, 138, network=True),
        "classes": Box("symmetric?", "2 probabilities", 682, 62, 150),
        "saliency": Box("saliency", f"Grad-CAM++, {grid}", 682, 146, 150),
        "backbone": Box("diagnosis", "backbone", 300, 240, 164, network=True),
        "features": Box("features", f"{channels} × {grid}", 500, 240, 138),
        "fusion": Box("fusion", f"1×1, {channels} + 1 to {channels}", 678, 240, 158, network=True),
        "head": Box("head", "average over the grid", 872, 240, 150, network=True),
        "diagnosis": Box("diagnosis", "7 probabilities", 872, 146, 150),
    }


ARROWS = [
    ("image", "lesion"), ("lesion", "mask"), ("mask", "masking"), ("image", "masking"), ("masking", "symmetry"),
    ("symmetry", "classes"), ("symmetry", "saliency"), ("image", "backbone"), ("backbone", "features"),
    ("features", "fusion"), ("saliency", "fusion"), ("fusion", "head"), ("head", "diagnosis"),
]  # fmt: skip


def _path(start: Box, end: Box) -> str:
    """From the right side to the left one, or straight down or up where the boxes stand above one another."""
    if end.left < start.left + start.width:
        middle = (max(start.left, end.left) + min(start.left + start.width, end.left + end.width)) // 2
        down = end.top > start.top
        return f"M{middle} {start.top + ROW * down} V{end.top + ROW * (not down) + (-7 if down else 7)}"
    x, y = start.left + start.width, start.top + ROW // 2
    across = (x + end.left) // 2
    return f"M{x} {y} H{across} V{end.top + ROW // 2} H{end.left - 7}"


def _shape(box: Box, theme: dict[str, str]) -> str:
    middle = box.left + box.width // 2
    return (
        f'<rect x="{box.left}" y="{box.top}" width="{box.width}" height="{ROW}" rx="{8 if box.network else 0}" '
        f'fill="{theme["network" if box.network else "data"]}" stroke="{theme["line"]}"/>'
        f'<text x="{middle}" y="{box.top + 22}" fill="{theme["ink"]}" font-weight="600">{escape(box.title)}</text>'
        f'<text x="{middle}" y="{box.top + 40}" fill="{theme["faint"]}" font-size="12">{escape(box.note)}</text>'
    )


def draw(theme: dict[str, str]) -> str:
    """The drawing as SVG.

    Args:
        theme: colours by use.
    """
    placed = boxes()
    lines = "".join(f'<path d="{_path(placed[a], placed[b])}" marker-end="url(#end)"/>' for a, b in ARROWS)
    shapes = "".join(_shape(box, theme) for box in placed.values())
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1038 308" text-anchor="middle" '
        'font-family="system-ui, sans-serif" font-size="14">'
        f'<marker id="end" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" fill="{theme["line"]}"/></marker>'
        f'<g fill="none" stroke="{theme["line"]}">{lines}</g>{shapes}</svg>\n'
    )


if __name__ == "__main__":
    for name, colours in THEMES.items():
        Path(__file__).with_name(f"method-{name}.svg").write_text(draw(colours), encoding="utf-8")
