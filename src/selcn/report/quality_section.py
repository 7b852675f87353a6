"""What a run's saliency is worth, as `selcn saliency-quality RUN` left it in the run's folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes

from selcn.evaluation import metric_spec
from selcn.evaluation.intervals import Part
from selcn.evaluation.localisation import NETWORK
from selcn.evaluation.saliency_quality import MEASURED
from selcn.explain.quality import DEPTHS, NOISE
from selcn.explain.scoring import GAUSSIAN, RANDOM_WEIGHTS
from selcn.report.charts import COLOURS, INK, STYLE, Chart, new_figure
from selcn.report.embed import Download, Picture, embed_chart, embed_csv
from selcn.report.measurements import PARTS, Measurement, measurements
from selcn.report.metric_tables import MetricTable
from selcn.runs.run import Run
from selcn.runs.saliency_quality import TABLE
from selcn.saliency.comparing import PLACE_CELLS

_DIFFERENCE = f"{NETWORK} - "
_FAITHFUL = ["road", "infidelity", "complexity", "flat"]
_STABLE = ["max_sensitivity", "agreement_members", "agreement_seeds"]
_SYMMETRIC = ["map_asymmetry", "asymmetry_auc"]
_DRAWN = {NETWORK: COLOURS[0], MEASURED: COLOURS[1], RANDOM_WEIGHTS: COLOURS[2], GAUSSIAN: COLOURS[3], NOISE: INK}
"""Colours of the kinds of map that a chart of the known place shows."""


@dataclass(frozen=True)
class QualityOfNetwork:
    """What the saliency of one network is worth.

    Attributes:
        network: its name.
        tables: faithfulness, symmetry, and the network's map less the measured one, a row a kind of map.
        stable: what is of the network's map alone, a row; None where nothing of it is defined.
        charts: cascading randomisation, and how well a known place is found, where there is one.
        csv: all metrics, for download.
    """

    network: str
    tables: list[MetricTable]
    stable: MetricTable | None
    charts: list[Picture]
    csv: Download


def quality_sections(run: Run) -> list[QualityOfNetwork]:
    """A section for each measured network; none where `selcn saliency-quality` has not been run on the run.

    Args:
        run: that is evaluated.
    """
    path = run.folder.saliency_quality / TABLE
    if not path.is_file():
        return []
    table = pd.read_csv(path)
    return [_of_network(str(name), rows) for name, rows in table.groupby("network", sort=False)]


def _of_network(network: str, rows: pd.DataFrame) -> QualityOfNetwork:
    part: Part = next(part for part in PARTS if (rows["fold_part"] == part).any())
    chosen = rows[rows["fold_part"] == part]
    kinds = {str(kind): measurements(of_kind)[part] for kind, of_kind in chosen.groupby("saliency", sort=False)}
    own = {kind: found for kind, found in kinds.items() if not kind.startswith(_DIFFERENCE)}
    less = {kind.removeprefix(_DIFFERENCE): one for kind, one in kinds.items() if kind.startswith(_DIFFERENCE)}
    alike = [name for name in dict.fromkeys(chosen["metric"]) if name.startswith("agreement_") and name not in _STABLE]
    places = [f"place_{cells}" for cells in PLACE_CELLS]
    tables = [
        _table(f"Saliency of {network}: faithfulness", part, own, _FAITHFUL),
        _table(f"Saliency of {network}: symmetry and known place", part, own, [*_SYMMETRIC, *alike, *places]),
        _table(
            f"Saliency of {network} less other maps", part, less, ["road", *_SYMMETRIC, *alike, *places], signed=True
        ),
    ]
    return QualityOfNetwork(
        network,
        [one for one in tables if one],
        _table(f"Saliency of {network}: stability", part, {NETWORK: own[NETWORK]}, _STABLE),
        [embed_chart(one, f"{one.data['metric'].iloc[0]}-{network}") for one in _charts(network, own)],
        embed_csv(rows, f"saliency-quality-{network}"),
    )


def _table(
    title: str, part: Part, rows: Mapping[str, dict[str, Measurement]], metrics: Sequence[str], *, signed: bool = False
) -> MetricTable | None:
    shown = [name for name in metrics if any(name in found for found in rows.values())]
    held = {kind: found for kind, found in rows.items() if any(name in found for name in shown)}
    return MetricTable(title, part, shown, held, signed=signed) if shown else None


def _charts(network: str, own: Mapping[str, dict[str, Measurement]]) -> list[Chart]:
    charts = [draw_randomised(network, own[NETWORK])] if f"randomised_{round(100 * DEPTHS[-1])}" in own[NETWORK] else []
    if any(f"place_{cells}" in found for found in own.values() for cells in PLACE_CELLS):
        charts.append(draw_place(network, own))
    return charts


def draw_randomised(network: str, found: Mapping[str, Measurement]) -> Chart:
    """Rank correlation with the network's map as ever more layers, from the output down, become random.

    Args:
        network: its name.
        found: metrics of the network's map.
    """
    percents = [round(100 * depth) for depth in DEPTHS]
    names = {percent: name for percent in percents if (name := f"randomised_{percent}") in found}
    with style.context(STYLE):
        figure = new_figure(230)
        axes = figure.subplots()
        data = _line(axes, list(names), [found[name] for name in names.values()], COLOURS[0], network)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set(xlim=(0, 104), ylim=(min(-0.2, *data["low"].fillna(0)), 1.05), xticks=[0, *percents])
        axes.set(xlabel="% of the layers, from the output, at random", ylabel="rank correlation")
        axes.set_title("Cascading randomisation", loc="left")
    data = data.assign(metric=list(names.values()))
    listed = "; ".join(f"{percent} %: {value:.3f}" for percent, value in zip(names, data["value"], strict=True))
    return Chart(figure, data, f"Rank correlation of the map of {network} with itself, layers at random: {listed}")


def draw_place(network: str, own: Mapping[str, dict[str, Measurement]]) -> Chart:
    """How well each kind of map finds the known place, by the grid on which it is looked for.

    Args:
        network: its name.
        own: metrics by kind of map.
    """
    rows = []
    with style.context(STYLE):
        figure = new_figure(270)
        axes = figure.subplots()
        for kind, colour in _DRAWN.items():
            held = {cells: found for cells in PLACE_CELLS if (found := own.get(kind, {}).get(f"place_{cells}"))}
            if held:
                at = [PLACE_CELLS.index(cells) for cells in held]
                drawn = _line(axes, at, list(held.values()), colour, kind)
                rows.append(drawn.assign(metric=[f"place_{cells}" for cells in held]))
        axes.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
        axes.set(xticks=range(len(PLACE_CELLS)), xticklabels=[f"{cells}×{cells}" for cells in PLACE_CELLS])
        axes.set(xlabel="cells of the grid", ylabel="AUC inside the lesion")
        axes.set_title("Known place of asymmetry", loc="left")
        figure.legend(loc="outside lower left", ncols=2)
    data = pd.concat(rows, ignore_index=True)
    listed = "; ".join(f"{row['name']} {row['metric']} {row['value']:.3f}" for row in data.to_dict("records"))
    return Chart(figure, data, f"{metric_spec('place_8').label} and on other grids, {network}: {listed}")


def _line(axes: Axes, at: Sequence[float], found: Sequence[Measurement], colour: str, name: str) -> pd.DataFrame:
    """Draw values with their intervals, and return them."""
    data = pd.DataFrame(
        [
            {"name": name, "value": one.estimate.value, "low": one.estimate.low, "high": one.estimate.high}
            for one in found
        ],
        columns=["name", "value", "low", "high"],
    )
    looks: dict[str, Any] = {"color": colour, "label": name}
    axes.plot(at, data["value"], marker="o", **looks)
    axes.fill_between(at, data["low"], data["high"], color=colour, alpha=0.15, linewidth=0)
    return data
