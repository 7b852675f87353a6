"""The page of several runs that differ by their seed: means over seeds, and where their variance comes from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import style

from selcn.errors import RunError
from selcn.evaluation import Estimate, verdict
from selcn.io.files import write_text
from selcn.report.charts import COLOURS, STYLE, Chart, new_figure
from selcn.report.embed import Download, embed_chart, embed_csv
from selcn.report.measurements import PARTS
from selcn.report.page import render
from selcn.report.wording import number, spoken
from selcn.runs.folder import RunFolder
from selcn.runs.run import open_run
from selcn.runs.seeds import COMPARISON, METRICS, VARIANCE, is_seed_folder

SHOWN = ("balanced_accuracy", "macro_auc", "ece")
"""Metrics that tables show; the files hold all."""
SOURCES = {"lesion_sd": "lesions", "seed_sd": "seeds", "fold_sd": "folds"}
"""Columns of standard deviations, and what varies in them."""
_ROW = 46  # CSS pixels


@dataclass(frozen=True)
class SeedTable:
    """One metric of each network, or of each difference, over seeds.

    Attributes:
        metric: its name.
        part: the subset, `test` or `validation`.
        rows: of the table, with ``name``, the estimates ``lesions`` and ``all`` (which counts what training varies),
            and the standard deviations of the table.
        csv: every metric.
        signed: whether they are differences.
    """

    metric: str
    part: str
    rows: list[dict[str, Any]]
    csv: Download
    signed: bool

    @property
    def tested(self) -> bool:
        """Whether any row has a p value, corrected for the number of rows."""
        return any(not math.isnan(row.get("p_holm", math.nan)) for row in self.rows)


def write_seed_report(folder: Path, out: Path | None = None) -> Path:
    """Write the page of a folder of runs that `selcn run --seeds` made; it loads nothing from other hosts.

    Args:
        folder: of the runs, with their tables.
        out: file to write, atomically; None for `report.html` in the folder.

    Returns:
        The file.

    Raises:
        RunError: the folder has no tables of seeds, or a run of it cannot be read.
    """
    if not is_seed_folder(folder):
        raise RunError(f"{folder}: holds no finished seeds; resume with `selcn run CONFIG --seeds N --out {folder}`")
    page = out or RunFolder(folder).report
    write_text(page, render("seeds.html.j2", _context(folder)))
    return page


def _context(folder: Path) -> dict[str, Any]:
    runs = [open_run(path.parent) for path in sorted(folder.glob("seed-*/config.yaml"), key=_seed_of)]
    tables = {name: pd.read_csv(folder / name) for name in (METRICS, COMPARISON, VARIANCE) if (folder / name).is_file()}
    metrics, compared, variance = (tables.get(name, pd.DataFrame()) for name in (METRICS, COMPARISON, VARIANCE))
    paired = variance["against"].notna() if "against" in variance else pd.Series(False, index=variance.index)
    differences = _tables(compared, "seeds", COMPARISON, signed=True)
    return {
        "name": folder.resolve().name,
        "seeds": [run.config.seed for run in runs],
        "run": runs[0],
        "synthetic": any((run.table["source"] == "phantom").any() for run in runs),
        "metric_tables": _tables(metrics, "seeds", METRICS),
        "difference_tables": differences,
        "verdicts": [_verdict(row) for table in differences if table.metric == SHOWN[0] for row in table.rows],
        "variance_tables": _tables(variance[~paired], "training", VARIANCE),
        "variance_of_differences": _tables(variance[paired], "training", VARIANCE, signed=True),
        "charts": [embed_chart(draw_variance(variance, metric), f"variance-{metric}") for metric in _known(variance)],
    }


def draw_variance(variance: pd.DataFrame, metric: str) -> Chart:
    """Standard deviation between lesions, seeds and folds of a metric, a row a network or difference.

    Args:
        variance: of `selcn.evaluation.training_variance`, with ``network`` and, of differences, ``against``.
        metric: its name.
    """
    shown = variance[variance["metric"] == metric]
    names = [_name(row) for row in shown.to_dict("records")]
    with style.context(STYLE):
        figure = new_figure(80 + _ROW * len(names))
        axes = figure.subplots()
        for place, (column, what) in enumerate(SOURCES.items()):
            rows = [row - 0.02 + 0.16 * place for row in range(len(names))]
            axes.barh(rows, shown[column].fillna(0), height=0.14, color=COLOURS[place], label=what)
        for row, name in enumerate(names):
            axes.text(0, row - 0.28, name, transform=axes.get_yaxis_transform(), va="center")
        axes.set(ylim=(len(names) - 0.4, -0.6), yticks=[], xlabel=f"standard deviation of {spoken(metric)}")
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        figure.legend(loc="outside upper left", ncols=len(SOURCES))
    data = shown.assign(name=names)[["name", "metric", *SOURCES]]
    listed = "; ".join(
        f"{row['name']}: " + ", ".join(f"{what} {number(row[column])}" for column, what in SOURCES.items())
        for row in data.to_dict("records")
    )
    return Chart(figure, data, f"Standard deviations of {spoken(metric)}. {listed}")


def _tables(table: pd.DataFrame, counted: str, file: str, *, signed: bool = False) -> list[SeedTable]:
    """A table a shown metric, of the test subset where there is one; ``counted`` names the wider interval."""
    if table.empty:
        return []
    part = next(one for one in PARTS if (table["fold_part"] == one).any())
    csv, measured = embed_csv(table, file.removesuffix(".csv")), table[table["fold_part"] == part]
    return [
        SeedTable(metric, part, [_row(row, counted) for row in rows.to_dict(orient="records")], csv, signed)
        for metric in _known(measured)
        if len(rows := measured[measured["metric"] == metric])
    ]


def _known(table: pd.DataFrame) -> list[str]:
    return [metric for metric in SHOWN if len(table) and (table["metric"] == metric).any()]


def _row(row: Mapping[Any, Any], counted: str) -> dict[str, Any]:
    return {
        **row,
        "name": _name(row),
        "lesions": Estimate(row["value"], row["low"], row["high"]),
        "all": Estimate(row["value"], row[f"low_{counted}"], row[f"high_{counted}"]),
    }


def _name(row: Mapping[Any, Any]) -> str:
    """Of a network, or of a difference b - a."""
    if "a" in row:
        return f"{row['b']} − {row['a']}"
    return f"{row['network']} − {row['against']}" if isinstance(row.get("against"), str) else str(row["network"])


def _verdict(row: Mapping[Any, Any]) -> str:
    """What a difference shows where other seeds are counted."""
    return f"{row['name']}: {verdict(row['all'], SHOWN[0], row['a'], row['b'])}"


def _seed_of(path: Path) -> tuple[int, str]:
    number = path.parent.name.removeprefix("seed-")
    return (int(number), "") if number.isdigit() else (0, number)
