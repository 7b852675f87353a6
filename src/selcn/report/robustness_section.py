"""A run's target on corrupted images, as `selcn robustness RUN` left it in the run's folder."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import style

from selcn.data.corruptions import CLEAN, SEVERITIES
from selcn.data.imaging.read import read_image
from selcn.evaluation import Estimate, metric_spec
from selcn.evaluation.robustness import ALL_CORRUPTIONS, MEAN
from selcn.report.charts import STYLE, Chart, new_figure
from selcn.report.embed import Download, Picture, embed_chart, embed_csv, embed_jpeg
from selcn.report.measurements import Measurement
from selcn.report.metric_tables import MetricTable
from selcn.report.wording import spoken
from selcn.runs.robustness import SHEET, TABLE
from selcn.runs.run import Run

EVERY = "all corruptions"
_ROW = 20  # CSS pixels of a row of a chart


@dataclass(frozen=True)
class RobustnessSection:
    """What was measured of corrupted images.

    Attributes:
        images: how many.
        tables: metrics of each corruption, averaged over severities, and their differences from the clean images.
        charts: of each metric, by corruption and severity.
        sheet: an image under every corruption and severity.
        csv: all metrics, for download.
    """

    images: int
    tables: list[MetricTable]
    charts: list[Picture]
    sheet: Picture
    csv: Download


def robustness_section(run: Run) -> RobustnessSection | None:
    """The section of a run; None where `selcn robustness` has not been run on it.

    Args:
        run: that is evaluated.
    """
    folder = run.folder.robustness
    if not (folder / TABLE).is_file():
        return None
    table = pd.read_csv(folder / TABLE, dtype={"severity": str})
    metrics = list(dict.fromkeys(table["metric"]))
    averaged = table[table["severity"].isin(["0", MEAN])]
    title = "Means over five severities"
    values = MetricTable(title, "test", metrics, _rows(averaged, ""), signed=False)
    corrupted = averaged[averaged["corruption"] != CLEAN]
    differences = MetricTable(f"{title}, minus clean", "test", metrics, _rows(corrupted, "difference"), signed=True)
    return RobustnessSection(
        images=int(table["images"].iloc[0]),
        tables=[values, differences],
        charts=[embed_chart(draw_severities(table, metric), f"robustness-{metric}") for metric in metrics],
        sheet=embed_jpeg(read_image(folder / SHEET), "an image under every corruption and severity"),
        csv=embed_csv(table, "robustness"),
    )


def draw_severities(table: pd.DataFrame, metric: str) -> Chart:
    """A metric by corruption (rows) and severity (columns), darker where it is farther from that of the clean images.

    Args:
        table: as `selcn.evaluation.robustness_table` gives it.
        metric: its name.
    """
    rows = table[(table["metric"] == metric) & (table["severity"] != MEAN)]
    clean = float(rows.loc[rows["corruption"] == CLEAN, "value"].iloc[0])
    corrupted = rows[rows["corruption"] != CLEAN].replace({"corruption": {ALL_CORRUPTIONS: EVERY}})
    grid = corrupted.pivot_table("value", "corruption", "severity", sort=False, dropna=False)
    grid = grid.reindex(columns=[str(severity) for severity in SEVERITIES])
    with style.context(STYLE):
        figure = new_figure(80 + _ROW * len(grid))
        axes = figure.subplots()
        far = np.abs(grid.to_numpy() - clean)
        axes.imshow(far, aspect="auto", cmap="Oranges", vmin=0, vmax=max(2 * np.nanmax(far, initial=0), 1e-9))
        for (row, column), value in np.ndenumerate(grid.to_numpy()):
            axes.text(column, row, "" if np.isnan(value) else f"{value:.2f}", ha="center", va="center", fontsize=7)
        axes.set(yticks=range(len(grid)), yticklabels=grid.index, xticks=range(len(SEVERITIES)), xticklabels=SEVERITIES)
        axes.set(xlabel=f"severity; clean images {clean:.2f}")
        axes.set_title(metric_spec(metric).label, loc="left")
        axes.grid(visible=False)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    worst = corrupted.assign(far=(corrupted["value"] - clean).abs()).sort_values("far").iloc[-1]
    alt = f"{spoken(metric)} by corruption and severity: {clean:.3f} of clean images; farthest from it"
    return Chart(figure, rows, f"{alt} {worst['corruption']} {worst['severity']} with {worst['value']:.3f}")


def _rows(table: pd.DataFrame, column: str) -> dict[str, dict[str, Measurement]]:
    """Measurements by metric, by the name of the corruption."""
    value, low, high = (column, f"{column}_low", f"{column}_high") if column else ("value", "low", "high")
    found: dict[str, dict[str, Measurement]] = {}
    for row in table.replace({"corruption": {ALL_CORRUPTIONS: EVERY}}).to_dict("records"):
        estimate = Estimate(row[value], row[low], row[high])
        found.setdefault(row["corruption"], {})[row["metric"]] = Measurement(estimate, row["images"], row["groups"])
    return found
