"""Draws size.svg, what each command takes by the number of images, from docs/results/benchmarks.json.

python docs/images/size.py
"""

import json
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

HERE = Path(__file__).parent
MEASURED = HERE.parent / "results" / "benchmarks.json"
PATTERN = r"(?P<command>\w+), (?P<images>\d+) images, (?P<unit>seconds|MiB)"


def measured() -> pd.DataFrame:
    """Command, images, seconds and MiB."""
    rows = pd.DataFrame(json.loads(MEASURED.read_text(encoding="utf-8")))
    found = rows["figure"].str.extract(PATTERN).assign(value=rows["value"].astype(float)).dropna()
    table = found.pivot_table("value", ["command", "images"], "unit", sort=False).reset_index()
    return table.astype({"images": int}).sort_values(["command", "images"])


def draw() -> Figure:
    """Seconds and memory, with the line of a cost that is in proportion to the images."""
    mpl.rcParams.update({"svg.hashsalt": "selcn", "font.size": 9})
    table = measured()
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


if __name__ == "__main__":
    draw().savefig(HERE / "size.svg", metadata={"Date": None})
    print(HERE / "size.svg")
