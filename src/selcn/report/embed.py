"""Images, charts and tables embedded in a page as data URIs."""

from dataclasses import dataclass
from io import BytesIO

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import style

from selcn.inference.overlay import embed
from selcn.io.files import data_uri
from selcn.io.tables import guarded
from selcn.report.charts import STYLE, Chart


@dataclass(frozen=True)
class Download:
    """A file that the page offers.

    Attributes:
        uri: `data:` URI, the file itself.
        name: under which it is saved.
    """

    uri: str
    name: str


@dataclass(frozen=True)
class Picture:
    """A picture for the page.

    Attributes:
        uri: `data:` URI, the picture itself.
        alt: alternative text.
        csv: its data as a table, where there is any.
    """

    uri: str
    alt: str
    csv: Download | None = None


def embed_jpeg(image: np.ndarray, alt: str) -> Picture:
    """An image as JPEG.

    Args:
        image: uint8 RGB (H, W, 3).
        alt: alternative text.
    """
    return Picture(embed(image, "jpeg"), alt)


def embed_chart(chart: Chart, name: str) -> Picture:
    """A chart as SVG, with its table as CSV; the same chart gives the same bytes.

    Args:
        chart: the chart.
        name: of the CSV file, without its ending.
    """
    file = BytesIO()
    with style.context(STYLE), mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "selcn"}):
        chart.figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return Picture(data_uri("image/svg+xml", file.getvalue()), chart.alt, embed_csv(chart.data, name))


def embed_csv(table: pd.DataFrame, name: str) -> Download:
    """A table as CSV, its numbers to six significant digits.

    Args:
        table: the table.
        name: of the file, without its ending.
    """
    text = guarded(table).to_csv(index=False, float_format="%.6g")
    return Download(data_uri("text/csv", text.encode()), f"{name}.csv")
