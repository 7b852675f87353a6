"""Writes docs/benchmarks.md from `benchmarks.json`; a part of `python docs/results/make.py`."""

import json
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from tables import markdown

MEASURED = Path(__file__).parent / "benchmarks.json"
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PAGE = Path(__file__).parents[1] / "benchmarks.md"


class Compared(NamedTuple):
    """A code path and the alternative that it is compared with.

    Attributes:
        path: what is measured.
        peer: the alternative, measured in the same run.
        module: of `benchmarks/`.
        figure: of the module's results: how many times as fast selcn is.
        aim: how many times as fast it should be.
    """

    path: str
    peer: str
    module: str
    figure: str
    aim: float


COMPARED = [
    Compared(
        "Grad-CAM++ of SqueezeNet at 224, batch 16",
        "grad-cam package, channels last",
        "saliency",
        "batch 16, ratio, both channels last",
        4,
    ),
    Compared(
        "the same, batch 1, ONNX Runtime",
        "grad-cam package, channels last",
        "saliency",
        "batch 1, ratio, ONNX Runtime to channels last",
        5,
    ),
    Compared("Grad-CAM++ of a ViT-S, batch 16", "grad-cam package, reshaped", "transformer_saliency", "ratio", 3),
    Compared("Dice + rank loss, both passes, 8 x 256 x 256", "its definition as loops", "losses", "ratio", 20),
    Compared("training epoch, preset `light`", "plain PyTorch loop, float32", "epoch", "ratio", 2),
    Compared("preparing, hair removed", "OpenCV, one image at a time", "preparing", "ratio", 1.8),
    Compared(
        "cascade, thesis networks, one image",
        "the same with hooks and backward passes",
        "cascade",
        "ratio, thesis in ONNX Runtime to thesis with hooks",
        4,
    ),
    Compared(
        "cascade, light networks, one image",
        "the same with hooks and backward passes",
        "cascade",
        "ratio, light in ONNX Runtime to light with hooks",
        5,
    ),
    Compared("`selcn predict` of 2,000 JPEG", "loop, one at a time", "many", "without overlays: ratio", 3),
    Compared("the same with overlays", "loop, one at a time", "many", "with overlays: ratio", 3),
    Compared("server, 50 clients", "plain FastAPI route", "plain_server", "ratio of answers a second", 2),
    Compared("bootstrap of every metric, 2,000 resamples", "scikit-learn in a loop", "bootstrap", "ratio", 50),
    Compared("near-duplicates of 100,000 hashes", "all pairs compared", "duplicates", "ratio", 20),
]


def title(module: str) -> str:
    """What a benchmark's results are kept under: the first line of its docstring."""
    return (BENCHMARKS / f"{module}.py").read_text(encoding="utf-8").split("\n", 1)[0].strip('"')


def page() -> str:
    """The whole page."""
    measured = pd.DataFrame(json.loads(MEASURED.read_text(encoding="utf-8"))).rename(columns={"figure": "measure"})
    values = measured.set_index(["benchmark", "measure"])["value"]
    rows = [
        {
            "what": one.path,
            "beside": one.peer,
            "times as fast": values.get((title(one.module), one.figure), "not measured"),
            "aim": f"{one.aim:g}",
        }
        for one in COMPARED
    ]
    tables = [
        f"**{heading}**\n\n{markdown(rows_of[['measure', 'value']])}"
        for heading, rows_of in measured.groupby("benchmark", sort=False)
    ]
    return "\n\n".join([INTRODUCTION, markdown(pd.DataFrame(rows)), "## All measures", *tables]) + "\n"


INTRODUCTION = """# Benchmarks

    make bench                                    # all that need no files
    python benchmarks/record.py clients=BUNDLE,FOLDER   # those that do, by name

Measured by the scripts in `benchmarks/` on two CPU cores without a GPU, each in a process of its own, and kept in
`docs/results/benchmarks.json`. The machines were shared, and not the same one for all scripts: ratios, taken from
alternated repeats in one run, are more reliable than times, and times of different scripts are not to be compared."""
