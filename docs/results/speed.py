"""Writes docs/benchmarks.md from `benchmarks.json`; a part of `python docs/results/make.py`."""

import json
import math
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from selcn.data import hamming
from selcn.data.duplicates import TURNS
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
        floor: of the module's results: how many times as long selcn takes as what cannot be left out; "" where that
            is not measured.
        why: what keeps it from the aim; "" where it is reached.
    """

    path: str
    peer: str
    module: str
    figure: str
    aim: float
    floor: str = ""
    why: str = ""


FAR = 2
COST = r"^(?P<command>\w+), (?P<images>\d+) images, (?P<unit>seconds|MiB)$"
NOT_MEASURED = "not measured"
ONCE = ("many",)
"""Modules whose ratio is of one run of each, since that takes minutes; all others alternate repeats."""
START, START_AIM = {"`import selcn`": "import selcn", "`--help` of selcn": "help of selcn"}, 0.3
"""Figures of `start` by what they are of, and the seconds that they should take."""
FORWARD = "closed form to forward pass alone"
COMPARED = [
    Compared(
        "Grad-CAM++ of SqueezeNet at 224, batch 16",
        "grad-cam package, channels last",
        "saliency",
        "batch 16, ratio, both channels last",
        4,
        f"batch 16, {FORWARD}",
        "The forward pass, which every method needs, leaves little to gain",
    ),
    Compared(
        "the same, batch 1, ONNX Runtime",
        "grad-cam package, channels last",
        "saliency",
        "batch 1, ratio, ONNX Runtime to channels last",
        5,
        "batch 1, closed form to forward pass alone, ONNX Runtime",
        "ONNX Runtime's own forward pass is nearly all of it",
    ),
    Compared(
        "Grad-CAM++ of a ViT-S, batch 16",
        "grad-cam package, reshaped",
        "transformer_saliency",
        "ratio",
        3,
        FORWARD,
        "The forward pass leaves little to gain",
    ),
    Compared(
        "Dice + rank loss, both passes, 8 x 256 x 256",
        "its definition as loops",
        "losses",
        "ratio",
        20,
        "both losses to soft Dice alone",
        "Beside Dice, the hardest pixels of lesion and background are picked out of all (topk), twice an image",
    ),
    Compared(
        "training epoch, preset `light`",
        "plain PyTorch loop, float32",
        "epoch",
        "ratio",
        2,
        "epoch to its passes alone",
        "Forward and backward passes, in the precision that this CPU computes faster, are most of it; the loop has a "
        "flip in place of all augmentation",
    ),
    Compared(
        "linear probe, 10,000 images, 5 folds, after the feature pass",
        "scikit-learn's logistic regression",
        "probe",
        "ratio",
        1,
        "probe to the passes of its layer alone",
        "selcn also validates each iteration, keeps logs, and builds and writes the whole network with its backbone; "
        "scikit-learn returns the weights of a layer",
    ),
    Compared(
        "preparing, hair removed",
        "OpenCV, one image at a time",
        "preparing",
        "ratio",
        1.8,
        "store to reading and inpainting alone",
        "Two cores share the work; inpainting is OpenCV's own",
    ),
    Compared(
        "12-megapixel JPEG to the network's size, `--draft`",
        "Pillow, whole decode and resize",
        "decoding",
        "ratio",
        4,
        "--draft to libjpeg's scaled decoding alone",
        "The decoder reads the whole file, at whatever size; how answers change is told below",
    ),
    Compared(
        "cascade, thesis networks, one image",
        "five steps with PNG files between, hooks and backward passes",
        "cascade",
        "ratio, thesis in ONNX Runtime to thesis with files between",
        4,
        "thesis, selcn to forward passes alone in ONNX Runtime",
        "The forward passes leave little to gain",
    ),
    Compared(
        "the same, beside one program",
        "the same with hooks and backward passes",
        "cascade",
        "ratio, thesis in ONNX Runtime to thesis with hooks",
        4,
        "thesis, selcn to forward passes alone in ONNX Runtime",
        "The forward passes leave little to gain",
    ),
    Compared(
        "cascade, light networks, one image",
        "the same with hooks and backward passes",
        "cascade",
        "ratio, light in ONNX Runtime to light with hooks",
        5,
        "light, selcn to forward passes alone in ONNX Runtime",
        "The forward passes leave little to gain",
    ),
    Compared(
        "`selcn predict` of many JPEG",
        "loop, one at a time",
        "many",
        "without overlays: ratio",
        3,
        "without overlays: selcn predict to networks alone",
        "The loop's networks use both cores, too, so that batches and work beside them can gain no more",
    ),
    Compared(
        "the same with overlays",
        "loop, one at a time",
        "many",
        "with overlays: ratio",
        3,
        "with overlays: selcn predict to networks alone",
        "As without overlays; those take processor time that the networks would use",
    ),
    Compared(
        "server, 50 clients",
        "plain FastAPI route",
        "plain_server",
        "ratio of answers a second",
        2,
        "server to networks alone",
        "The networks of the bundle that ships keep both cores at work in either server",
    ),
    Compared(
        "the same, time within which 95 % are answered",
        "plain FastAPI route",
        "plain_server",
        "ratio of the 95 % times",
        2,
        "server to networks alone",
        "50 clients who wait for two busy cores wait as long in either server",
    ),
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
            "times as fast": _measured(values, one, one.figure),
            "aim": f"{one.aim:g}",
            "times as long as its floor": _measured(values, one, one.floor) if one.floor else "",
        }
        for one in COMPARED
    ]
    missed = [f"- {one.path}: {_why(values, one)}." for one in COMPARED if _missed(values, one)]
    tables = [
        "\n\n".join([f"**{heading}**", *_where(rows_of), markdown(rows_of[["measure", "value"]])])
        for heading, rows_of in measured.groupby("benchmark", sort=False)
    ]
    compared = [markdown(pd.DataFrame(rows)), FLOORS, MISSED + "\n" + "\n".join(missed), _start(values)]
    parts = [INTRODUCTION.format(once=_once()), *compared, _size(), MEASURES, *tables]
    return "\n\n".join(parts) + "\n"


def _once() -> str:
    """The rows of the table whose ratio is of one run of each."""
    return " and ".join(one.path for one in COMPARED if one.module in ONCE)


def _where(rows: pd.DataFrame) -> list[str]:
    """Processor and day of a benchmark, or nothing where they are not stored."""
    known = rows.reindex(columns=["processor", "date"]).dropna().drop_duplicates()
    return [f"{row.processor}, {row.date}." for row in known.itertuples()]


def _start(values: "pd.Series[str]") -> str:
    """Seconds of a start of Python with selcn, beside their aim."""
    found = {what: values.get((title("start"), f"{figure}, median seconds")) for what, figure in START.items()}
    rows = [
        {"start": what, "seconds": NOT_MEASURED if value is None else value, "aim, seconds": f"{START_AIM:g}"}
        for what, value in found.items()
    ]
    late = [what for what, value in found.items() if value is not None and float(value) > START_AIM]
    why = [f"{' and '.join(late)}: {START_WHY}."] if late else []
    return "\n\n".join([STARTS, markdown(pd.DataFrame(rows)), *why])


def _size() -> str:
    """What cost against size comes to."""
    table = cost_by_size().set_index(["images", "command"])
    sizes = sorted(table.index.unique("images"))
    last, before, first = (table.loc[size] for size in (sizes[-1], sizes[-2], sizes[0]))
    longer, larger = last["seconds"] / before["seconds"], last["MiB"] / first["MiB"]
    return SIZE.format(
        least=longer.min(),
        quickest=longer.idxmin(),
        most=longer.max(),
        slowest=longer.idxmax(),
        grown=larger.max(),
        largest=larger.idxmax(),
        compared=math.isqrt(hamming.MAX_COMPARED // len(TURNS)),
        table=hamming.TABLE_BYTES >> 20,
    )


def cost_by_size() -> pd.DataFrame:
    """Seconds and MiB of each command by the number of images."""
    rows = pd.DataFrame(json.loads(MEASURED.read_text(encoding="utf-8")))
    rows = rows[rows["benchmark"] == title("size")]
    found = rows["figure"].str.extract(COST).assign(value=rows["value"].astype(float)).dropna()
    table = found.pivot_table("value", ["command", "images"], "unit", sort=False).reset_index()
    return table.astype({"images": int}).sort_values(["command", "images"])


def _measured(values: "pd.Series[str]", one: Compared, figure: str) -> str:
    return str(values.get((title(one.module), figure), NOT_MEASURED))


def _why(values: "pd.Series[str]", one: Compared) -> str:
    """The reason, where a floor is measured; else that it is not known."""
    return one.why if _floor(values, one) else "not looked into"


def _floor(values: "pd.Series[str]", one: Compared) -> float:
    """How many times as long selcn takes as its floor; 0 where that is not measured."""
    found = _measured(values, one, one.floor) if one.floor else NOT_MEASURED
    return 0.0 if found == NOT_MEASURED else float(found)


def _missed(values: "pd.Series[str]", one: Compared) -> bool:
    found = _measured(values, one, one.figure)
    return (found != NOT_MEASURED and float(found) < one.aim) or _floor(values, one) > FAR


INTRODUCTION = """# Benchmarks

    make bench                                    # all that need no files
    python benchmarks/record.py clients=BUNDLE,FOLDER   # those that do, by name

Measured by the scripts in `benchmarks/` on two CPU cores without a GPU, each in a process of its own, and kept in
`docs/results/benchmarks.json`. The machines were shared, and not the same one for all scripts: ratios are more reliable
than times, and times of different scripts are not to be compared. Ratios are of medians over alternated repeats in one
run, but those of {once}, which are of one run of each, since that takes minutes. What was measured of the bundle that
ships, but its start, is of the one before it: its symmetry network measured nothing beside its features, and its masks
were those of one pass."""

FLOORS = """A floor is what cannot be left out, in the same engine: the forward passes, the library call, the part of a
loss; of the cascades ONNX Runtime's. Where the rest is hardly anything, as saliency in closed form beside the forward
passes, the machine's noise decides which of the two takes longer, and the factor may be somewhat below 1."""

STARTS = """## Starts

Medians of several starts of a process, by `benchmarks/start.py`."""
START_WHY = "most of it is the import of typer, of rich, which lays out the help, and of the commands' own modules"

SIZE = """## Cost against size

    python benchmarks/record.py size=BUNDLE

![Seconds and MiB of each command at 500 to 4,000 images.](images/size.svg)

Synthetic images at 160x120, the bundle of the demo. The dashed line is in proportion to the images. From 2,000 to 4,000
images times grow by a factor of {least:.2f} ({quickest}) to {most:.2f} ({slowest}), and from 500 to 4,000 the peak of
memory grows by at most {grown:.2f} ({largest}). Of `audit` and `split` a step is in it: from about {compared:,} images
on, the search for near-duplicates looks hashes up in a table of {table} MiB, as large for any number of images; fewer
are compared pair by pair. Beside that their fingerprints are held, 1 KiB an image."""
MEASURES = """## All measures

Each with the processor that it ran on and the day, where they were recorded."""
MISSED = "What keeps a path from its aim, or from twice its floor:"
