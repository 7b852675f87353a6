"""Charts of class probabilities: ROC, precision and recall, calibration, risk against coverage, net benefit.

All are of the test subset, or of validation where there is none.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes

from selcn.errors import DataError
from selcn.evaluation import (
    Predictions,
    area_under_risk_coverage,
    decision_curve,
    fit_recalibration,
    reliability,
    risk_coverage,
)
from selcn.evaluation.operating_curves import precision_recall, primary_subset, roc
from selcn.report.charts import COLOURS, INK, STYLE, Chart, new_figure
from selcn.report.wording import number

_DASHES = ("-", "--")  # the second round through the colours


def draw_roc(predictions: Predictions) -> Chart:
    """ROC curves, one a class; the legend gives the areas under them.

    Args:
        predictions: of a classifier.
    """

    def guess(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=INK, linestyle=":", linewidth=1)

    data = roc(primary_subset(predictions))
    labels = {"x": ("false_positive_rate", "1 − specificity"), "y": ("sensitivity", "sensitivity")}
    return _one_against_the_rest(data, "auc", "ROC, each class against the rest, area", labels, guess)


def draw_precision_recall(predictions: Predictions) -> Chart:
    """Precision-recall curves, one a class; the legend gives average precisions.

    Args:
        predictions: of a classifier.
    """
    data = precision_recall(primary_subset(predictions))
    labels = {"x": ("recall", "recall (sensitivity)"), "y": ("precision", "precision")}
    return _one_against_the_rest(
        data, "average_precision", "precision and recall, each class against the rest, average precision", labels
    )


def draw_reliability(predictions: Predictions) -> Chart:
    """Reliability diagram, as predicted and recalibrated on the validation folds.

    Args:
        predictions: of a classifier; without validation folds nothing is recalibrated.
    """
    curves = _with_recalibrated(predictions)
    tables = {name: reliability(one) for name, one in curves.items()}
    with style.context(STYLE):
        figure = new_figure(330)
        axes, counts = figure.subplots(2, sharex=True, height_ratios=[3, 1])
        axes.plot([0, 1], [0, 1], color=INK, linestyle=":", linewidth=1)
        for (name, table), colour in zip(tables.items(), COLOURS, strict=False):
            filled = table[table["images"] > 0]
            axes.plot(filled["confidence"], filled["accuracy"], marker="o", markersize=4, color=colour, label=name)
            counts.stairs(table["images"], [*table["low"], 1.0], color=colour)
        axes.set(ylim=(0, 1), ylabel="accuracy")
        counts.set(xlim=(0, 1), xlabel="probability of the predicted class", ylabel="images")
        figure.legend(loc="outside upper left")
    gaps = "; ".join(f"{name}: calibration error {number(_gap(table))}" for name, table in tables.items())
    data = pd.concat([table.assign(probabilities=name) for name, table in tables.items()], ignore_index=True)
    return Chart(figure, data, f"Reliability. {gaps}")


def draw_risk_coverage(predictions: Mapping[str, Predictions]) -> Chart:
    """Risk-coverage curves, one a classifier: error rate among the most confident predictions.

    Args:
        predictions: of each classifier, by its name.
    """
    shown = {name: primary_subset(one) for name, one in predictions.items()}
    curves = {name: risk_coverage(one) for name, one in shown.items()}
    with style.context(STYLE):
        figure = new_figure(270 + 14 * len(curves))
        axes = figure.subplots()
        for place, (name, curve) in enumerate(curves.items()):
            axes.plot(100 * curve["coverage"], 100 * curve["risk"], label=name, **_looks(place))
        axes.set(xlim=(0, 100), xlabel="coverage: % of images, most confident first", ylabel="risk: % of them wrong")
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside upper left")
    areas = "; ".join(f"{name} {number(area_under_risk_coverage(one))}" for name, one in shown.items())
    data = pd.concat([curve.assign(name=name) for name, curve in curves.items()], ignore_index=True)
    return Chart(figure, data, f"Risk against coverage. Area under the curve (less is better): {areas}")


def draw_decision_curve(predictions: Predictions, positive: str, resamples: int) -> Chart:
    """Net benefit over thresholds (Vickers & Elkin 2006), as predicted and recalibrated, and of both fixed strategies.

    Args:
        predictions: of a classifier; without validation folds nothing is recalibrated.
        positive: the class that is looked for, or `malignant`.
        resamples: of the bootstrap; the band is the 95 % interval of the last curve.
    """
    curves = {
        name: decision_curve(one, positive, resamples=resamples)
        for name, one in _with_recalibrated(predictions).items()
    }
    last = list(curves.values())[-1]
    percent = 100 * last["threshold"]
    with style.context(STYLE):
        figure = new_figure(330)
        axes = figure.subplots()
        axes.axhline(0, color=INK, linestyle=":", linewidth=1, label=f"none called {positive}")
        axes.plot(percent, last["treat_all"], color=INK, linestyle="--", linewidth=1, label=f"all called {positive}")
        for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
            axes.plot(percent, curve["net_benefit"], color=colour, label=name)
        axes.fill_between(percent, last["low"], last["high"], color=COLOURS[len(curves) - 1], alpha=0.2, linewidth=0)
        highest = max(float(curve[["net_benefit", "high"]].max().max()) for curve in curves.values())
        # Below, calling all positive is as bad as the threshold makes it, and would hide the rest.
        axes.set(ylim=(-0.25 * max(highest, 0.01), 1.08 * max(highest, 0.01)), ylabel="net benefit")
        axes.set(xlim=(0, percent.max()), xlabel=f"threshold: probability of {positive}, %")
        figure.legend(loc="outside upper left", ncols=2)
    at = last.iloc[(last["threshold"] - 0.1).abs().argmin()]
    listed = f"at {100 * at['threshold']:.0f} % {number(at['net_benefit'])}, of calling all {number(at['treat_all'])}"
    data = pd.concat([curve.assign(probabilities=name) for name, curve in curves.items()], ignore_index=True)
    return Chart(figure, data, f"Decision curve for {positive}: net benefit {listed}")


def _with_recalibrated(predictions: Predictions) -> dict[str, Predictions]:
    """The subset that is shown, as predicted and, where there is something to fit on, recalibrated."""
    shown = primary_subset(predictions)
    curves = {"as predicted": shown}
    with suppress(DataError):  # predictions of the test subset only: nothing to fit on
        curves["recalibrated on validation"] = fit_recalibration(predictions).of(shown)
    return curves


def _one_against_the_rest(
    data: pd.DataFrame,
    area: str,
    title: str,
    labels: Mapping[str, tuple[str, str]],
    guess: Callable[[Axes], None] | None = None,
) -> Chart:
    areas = {str(name): float(rows[area].iloc[0]) for name, rows in data.groupby("class", sort=False)}
    with style.context(STYLE):
        figure = new_figure(330)
        axes = figure.subplots()
        if guess:
            guess(axes)
        for place, (name, value) in enumerate(areas.items()):
            rows = data[data["class"] == name]
            x, y = (rows[column] for column, _ in labels.values())
            axes.plot(x, y, label=f"{name} {number(value)}", **_looks(place))
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=labels["x"][1], ylabel=labels["y"][1])
        figure.legend(loc="outside upper left", ncols=3)
    listed = ", ".join(f"{name} {number(value)}" for name, value in areas.items())
    return Chart(figure, data, f"{title}: {listed}")


def _looks(place: int) -> dict[str, Any]:
    return {"color": COLOURS[place % len(COLOURS)], "linestyle": _DASHES[place // len(COLOURS) % len(_DASHES)]}


def _gap(table: pd.DataFrame) -> float:
    filled = table[table["images"] > 0]
    return float(np.average((filled["confidence"] - filled["accuracy"]).abs(), weights=filled["images"]))
