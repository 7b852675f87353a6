"""Charts of a run: as wide as a phone, on a light background, in colours that the colour-blind can distinguish.

Each comes with its data as a table, and with alternative text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from selcn.evaluation.intervals import Part, fold_parts
from selcn.evaluation.segmentation import JACCARD_THRESHOLD
from selcn.report.measurements import Measurements
from selcn.report.wording import interval, spoken
from selcn.runs.curves import Curve

# Okabe & Ito (2008), without the yellow, which has no contrast to white.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
PART_COLOURS: dict[Part, str] = {"test": COLOURS[0], "validation": COLOURS[1]}
INK = "#1b1f24"
WIDTH = 340  # CSS pixels, which a phone of 390 shows without shrinking
STYLE = Path(__file__).with_name("chart.mplstyle")


class Chart(NamedTuple):
    """A chart with its data and alternative text.

    Attributes:
        figure: as drawn.
        data: the plotted values.
        alt: alternative text.
    """

    figure: Figure
    data: pd.DataFrame
    alt: str


def draw_intervals(measured: Mapping[str, Measurements], metric: str) -> Chart:
    """A metric of each network, one a row: on the test subset (filled) and in validation (hollow), with intervals.

    Args:
        measured: metrics by the network's name, of at least one network.
        metric: name of the metric.
    """
    with style.context(STYLE):
        figure = new_figure(70 + 46 * len(measured))
        axes = figure.subplots()
        for row, (name, parts) in enumerate(measured.items()):
            axes.text(0, row - 0.3, name, transform=axes.get_yaxis_transform(), va="center")
            for part, height in zip(PART_COLOURS, (row + 0.02, row + 0.26), strict=True):
                if part in parts:
                    estimate = parts[part][metric].estimate
                    axes.plot([estimate.low, estimate.high], [height] * 2, color=PART_COLOURS[part])
                    axes.plot(estimate.value, height, **_dot(part))
        axes.set(ylim=(len(measured) - 0.4, -0.6), yticks=[], xlabel=f"{spoken(metric)}, 95 % interval")
        axes.spines["left"].set_visible(False)
        axes.grid(visible=True, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(5))  # more would touch one another at three decimals
        figure.legend(
            handles=[Line2D([], [], label=part, **_dot(part)) for part in PART_COLOURS],
            loc="outside upper left",
            ncols=2,
        )
    estimates = [
        (name, part, found[metric].estimate) for name, parts in measured.items() for part, found in parts.items()
    ]
    data = pd.DataFrame({"name": name, "part": part, "metric": metric, **asdict(one)} for name, part, one in estimates)
    listed = "; ".join(f"{name} {part} {interval(one)}" for name, part, one in estimates)
    return Chart(figure, data, f"{spoken(metric)} with 95 % intervals: {listed}")


def draw_jaccard_histogram(scores: pd.DataFrame) -> Chart:
    """Histogram of the Jaccard index as shares of images: the test subset filled, validation as a line.

    Args:
        scores: of segmentation, a row an image.
    """
    parts = {part: rows["jaccard"] for part, rows in fold_parts(scores).items()}
    with style.context(STYLE):
        figure = new_figure(230)
        axes = figure.subplots()
        for part, values in parts.items():
            axes.hist(
                values,
                bins=20,
                range=(0, 1),
                weights=[100 / len(values)] * len(values),
                histtype="stepfilled" if part == "test" else "step",
                color=PART_COLOURS[part],
                linewidth=1.5,
                alpha=0.75 if part == "test" else 1,
                label=f"{part} ({len(values)} images)",
            )
        axes.axvline(JACCARD_THRESHOLD, color=INK, linestyle=":", label=f"{JACCARD_THRESHOLD}: ISIC's threshold")
        axes.set(xlim=(0, 1), xlabel="Jaccard of predicted and true mask", ylabel="% of images")
        figure.legend(loc="outside upper left", ncols=2)
    listed = "; ".join(
        f"{part}: {len(values)} images, median {values.median():.3f}, "
        f"{100 * (values >= JACCARD_THRESHOLD).mean():.0f} % at or above {JACCARD_THRESHOLD}"
        for part, values in parts.items()
    )
    data = scores[[name for name in ("image_id", "fold", "jaccard") if name in scores]]
    return Chart(figure, data, f"Histogram of Jaccard. {listed}")


def draw_curves(network: str, curves: Sequence[Curve]) -> Chart:
    """Loss (top) and score (bottom) by epoch, one colour a fold; the kept epoch is marked on the monitored curve.

    Args:
        network: its name.
        curves: of each of its folds.
    """
    with style.context(STYLE):
        figure = new_figure(310)
        loss, score = figure.subplots(2, sharex=True)
        for curve in curves:
            colour = _fold_colour(curve)
            _draw_column(loss, curve, "train_loss", color=colour, linestyle="--")
            _draw_column(loss, curve, "val_loss", color=colour)
            _draw_column(score, curve, curve.score, color=colour)
            chosen_on = loss if curve.monitor == "val_loss" else score
            chosen_on.plot(curve.best_epoch, _best(curve), "o", color=colour, mfc="white", zorder=3, clip_on=False)
        loss.set_title("loss", loc="left")
        score.set_title(spoken(curves[0].score.removeprefix("val_")), loc="left")
        score.set_xlabel("epoch")
        score.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        kept = Line2D([], [], color=INK, linestyle="", marker="o", mfc="white", label="kept")
        figure.legend(handles=[*_marks(curves), kept], loc="outside lower left", ncols=3)
    listed = "; ".join(
        f"fold {c.fold} was kept at epoch {c.best_epoch} of {c.epochs.index.max()} with {c.monitor} {_best(c):.3f}"
        for c in curves
    )
    data = pd.concat([curve.epochs.reset_index().assign(fold=curve.fold) for curve in curves], ignore_index=True)
    return Chart(figure, data, f"Learning curves of {network}: {listed}")


def draw_terms(network: str, curves: Sequence[Curve]) -> Chart | None:
    """Each term of the loss (training broken, validation solid) and each further metric by epoch, a colour a fold.

    Args:
        network: its name.
        curves: of each of its folds.

    Returns:
        None for a run of an earlier selcn, which logged neither.
    """
    usual = {"loss", curves[0].score.removeprefix("val_")}
    # Folds that were trained by different versions may have logged different terms.
    logged = {column for curve in curves for column in map(str, curve.epochs)}
    validated = {name.removeprefix("val_") for name in logged if name.startswith("val_")}
    names = sorted(validated - usual, key=lambda name: (not name.endswith("_loss"), name))
    if not names:
        return None
    with style.context(STYLE):
        figure = new_figure(110 + 105 * len(names))
        panels = figure.subplots(len(names), sharex=True, squeeze=False)[:, 0]
        for panel, name in zip(panels, names, strict=True):
            for curve in curves:
                for column, line in ((f"train_{name}", "--"), (f"val_{name}", "-")):
                    if column in curve.epochs:
                        _draw_column(panel, curve, column, color=_fold_colour(curve), linestyle=line)
            panel.set_title(_term(name), loc="left")
        figure.legend(handles=_marks(curves), loc="outside lower left", ncols=3)
        panels[-1].set_xlabel("epoch")
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    columns = [column for name in names for column in (f"train_{name}", f"val_{name}") if column in logged]
    held = [curve.epochs.filter(columns).reset_index().assign(fold=curve.fold) for curve in curves]
    data = pd.concat(held)[["epoch", *columns, "fold"]]
    ends = (_end(curve, names) for curve in curves)
    return Chart(figure, data, f"Terms of the loss and metrics of {network} by epoch; {next(filter(None, ends))}")


def _end(curve: Curve, names: Sequence[str]) -> str:
    """The last values of a fold's terms; "" where it logged none."""
    values = [(name, curve.epochs[f"val_{name}"].iloc[-1]) for name in names if f"val_{name}" in curve.epochs]
    last = "; ".join(f"{_term(name)} {value:.3f}" for name, value in values)
    return f"fold {curve.fold} ends with {last}" if last else ""


def _marks(curves: Sequence[Curve]) -> list[Line2D]:
    """What colours and lines mean."""
    return [
        *(Line2D([], [], color=_fold_colour(curve), label=f"fold {curve.fold}") for curve in curves),
        Line2D([], [], color=INK, linestyle="--", label="training"),
        Line2D([], [], color=INK, label="validation"),
    ]


def _term(name: str) -> str:
    return name.capitalize().replace("_", " ") if name.endswith("_loss") else spoken(name)


def new_figure(height: int) -> Figure:
    """A figure in CSS pixels; an SVG's points are 3/4 of them, whatever the resolution.

    Args:
        height: in CSS pixels.
    """
    return Figure(figsize=(WIDTH / 96, height / 96), layout="constrained", facecolor="white")


def _dot(part: Part) -> dict[str, Any]:
    colour = PART_COLOURS[part]
    return {"color": colour, "marker": "o", "markerfacecolor": colour if part == "test" else "white"}


def _draw_column(axes: Axes, curve: Curve, column: str, **looks: Any) -> None:  # noqa: ANN401 - matplotlib's own
    values = curve.epochs[column].dropna()
    # A single epoch is a point, which a line would not show.
    axes.plot(values.index, values, marker="." if len(values) == 1 else None, **looks)


def _fold_colour(curve: Curve) -> str:
    return COLOURS[curve.fold % len(COLOURS)]


def _best(curve: Curve) -> float:
    return float(curve.epochs[curve.monitor][curve.best_epoch])
