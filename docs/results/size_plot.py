"""Draws docs/images/size.svg, cost against the number of images; a part of `python docs/results/make.py`."""

import io
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from speed import cost_by_size

PLOT = Path(__file__).parents[1] / "images" / "size.svg"


def draw() -> Figure:
    """Seconds and memory, with the line of a cost that is in proportion to the images."""
    table = cost_by_size()
    figure = Figure((7, 3.2), layout="constrained")
    for axes, unit in zip(figure.subplots(1, 2), ("seconds", "MiB"), strict=True):
        for command, own in table.groupby("command", sort=False):
            axes.plot(own["images"], own[unit], marker="o", markersize=3, label=str(command))
        sizes = sorted(table["images"].unique())
        axes.set(xscale="log", yscale="log" if unit == "seconds" else "linear", xlabel="images", ylabel=unit)
        axes.set_xticks(sizes, [f"{one:,}" for one in sizes], minor=False)
        axes.minorticks_off()
        axes.set_ylim(bottom=1 if unit == "seconds" else 0)
        if unit == "seconds":
            least = table[unit].max() * sizes[0] / sizes[-1]
            axes.plot(sizes, [least * one / sizes[0] for one in sizes], "--", color="grey", label="in proportion")
            figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def svg() -> str:
    """The plot as it is stored."""
    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "selcn", "font.size": 9}):
        draw().savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
