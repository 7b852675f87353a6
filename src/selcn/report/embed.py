"""Pictures that live inside the page, as data URIs."""

import base64
from dataclasses import dataclass
from io import BytesIO

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

JPEG_QUALITY = 82


@dataclass(frozen=True)
class Picture:
    """A picture for the page.

    Attributes:
        uri: `data:` URI, the picture itself.
        alt: what it shows, for those who do not see it.
    """

    uri: str
    alt: str


def embed_jpeg(image: np.ndarray, alt: str) -> Picture:
    """A JPEG of uint8 RGB (H, W, 3)."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return Picture(_data_uri("image/jpeg", data.tobytes()), alt)


def embed_svg(figure: Figure, alt: str) -> Picture:
    """An SVG of a figure; the same figure gives the same bytes."""
    file = BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "selcn"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(_data_uri("image/svg+xml", file.getvalue()), alt)


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
