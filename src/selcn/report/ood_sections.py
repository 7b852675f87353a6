"""How a run's bundle took images out of distribution, as `selcn evaluate RUN --ood` left it in the run's folder."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.ticker import LogLocator, NullFormatter

from selcn.evaluation import Estimate
from selcn.evaluation.ood import ANY_WARNING
from selcn.inference.predictor import Predictor
from selcn.report.charts import COLOURS, INK, STYLE, Chart, new_figure
from selcn.report.embed import Picture, embed_chart
from selcn.report.measurements import Measurement
from selcn.report.metric_tables import MetricTable
from selcn.runs.ood import SCORES, TABLE
from selcn.runs.run import Run

USUAL = "usual images"
SPOKEN = {
    "max_probability": "largest probability",
    "energy": "energy",
    "distance": "feature distance",
    "distance_earlier": "feature distance, stage before",
}
_SEPARATION = ["auroc", "fpr_at_95_tpr"]
_ROW = 34  # CSS pixels of a row of points


@dataclass(frozen=True)
class OodSection:
    """What one catalog of images out of distribution gave.

    Attributes:
        name: of the catalog.
        usual: number of usual images.
        strange: number of images out of distribution.
        tables: how well each score tells them apart, of all and of each source.
        warnings: how often each warning was given, of each source and of the usual images.
        chart: feature distances, and the threshold of the warning.
    """

    name: str
    usual: int
    strange: int
    tables: list[MetricTable]
    warnings: MetricTable
    chart: Picture


def ood_sections(run: Run, predictor: Predictor) -> list[OodSection]:
    """A section for each catalog that was scored with the run's bundle.

    Args:
        run: that is evaluated.
        predictor: of its bundle.
    """
    folders = sorted(path.parent for path in run.folder.ood("*").parent.glob(f"*/{TABLE}"))
    return [
        _section(folder.name, pd.read_csv(folder / TABLE), pd.read_csv(folder / SCORES), predictor)
        for folder in folders
    ]


def _section(name: str, table: pd.DataFrame, scores: pd.DataFrame, predictor: Predictor) -> OodSection:
    apart = table[table["metric"].isin(_SEPARATION)]
    tables = [
        MetricTable(f"{name}: {source}", "test", _SEPARATION, _rows(rows, "score"), signed=False)
        for source, rows in apart.groupby("ood", sort=False)
    ]
    warned = table[~table["metric"].isin(_SEPARATION)].fillna({"ood": ""})
    warned = warned.assign(row=warned["ood"].replace("", USUAL) + ": " + warned["score"])
    rows = _rows(warned[(warned["score"] == ANY_WARNING) | (warned["value"] > 0)], "row")
    warnings = MetricTable(f"{name}: warnings", "test", ["warned", "false_alarms"], rows, signed=False)
    strange = int(scores["ood"].sum())
    chart = embed_chart(draw_distances(scores, _threshold(predictor)), f"ood-{name}")
    return OodSection(name, len(scores) - strange, strange, tables, warnings, chart)


def draw_distances(scores: pd.DataFrame, threshold: float | None) -> Chart:
    """Feature distance of each image, a row a source, and the distance above which an image is warned of.

    Args:
        scores: as `selcn.runs.ood.score_ood` writes them.
        threshold: of the warning; None where it was not measured.
    """
    named = scores["source"].fillna("").replace("", "not named").where(scores["ood"] == 1, USUAL)
    data = scores.assign(row=named)[["image_id", "row", "distance"]]
    with style.context(STYLE):
        figure = new_figure(90 + _ROW * len(set(named)))
        axes = figure.subplots()
        names = [USUAL, *(one for one in dict.fromkeys(named) if one != USUAL)]
        for place, name in enumerate(names):
            values = data.loc[data["row"] == name, "distance"].to_numpy()
            spread = place + 0.3 * np.sin(np.arange(len(values)) * 2.4)  # so that points lie beside each other
            axes.plot(values, spread, ".", markersize=3, color=COLOURS[place % len(COLOURS)])
        if threshold is not None:
            axes.axvline(threshold, color=INK, linestyle=":", label="warned of to the right")
            figure.legend(loc="outside upper left")
        axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5), xlabel="feature distance")
        if data["distance"].gt(0).any():
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # distances span a decade or two
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
    middle = data.groupby("row", sort=False)["distance"].median()
    listed = "; ".join(f"{name} {value:.2f}" for name, value in middle.items())
    return Chart(figure, data, f"Feature distances, medians: {listed}; threshold {threshold or float('nan'):.2f}")


def _rows(table: pd.DataFrame, key: str) -> dict[str, dict[str, Measurement]]:
    found: dict[str, dict[str, Measurement]] = {}
    for row in table.to_dict("records"):
        estimate = Estimate(row["value"], row["low"], row["high"])
        own = found.setdefault(SPOKEN.get(row[key], row[key]), {})
        own[row["metric"]] = Measurement(estimate, row["images"], row["groups"])
    return found


def _threshold(predictor: Predictor) -> float | None:
    config = predictor.config
    measured = config.reliability.networks.get(config.target) if config.reliability else None
    return measured.distance if measured else None
