"""`evaluate` and `report`: figures with intervals from prediction files, and the page of a run."""

from pathlib import Path
from typing import Annotated

import typer

from selcn.cli.options import Json


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(evaluate)
    app.command()(report)


def evaluate(
    predictions: Annotated[
        list[Path], typer.Argument(help="Prediction or segmentation score files.", show_default=False)
    ],
    resamples: Annotated[int, typer.Option("--resamples", min=1, help="Bootstrap resamples of lesions.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.")] = 0,
    json: Json = False,
) -> None:
    """Figures of prediction files, each with its 95 % interval, lesions resampled as wholes.

    Example: `selcn evaluate runs/demo/predictions/*.csv`
    """
    import pandas as pd

    from selcn.evaluation import evaluate_file

    tables = [evaluate_file(path, resamples=resamples, seed=seed).assign(file=path.name) for path in predictions]
    table = pd.concat(tables, ignore_index=True)
    if json:
        typer.echo(table.to_json(orient="records", indent=1))
        return
    for name, figures in table.groupby("file", sort=False):
        typer.echo(f"{name}\n{figures.drop(columns='file').to_string(index=False, float_format='{:.3f}'.format)}\n")


def report(
    run: Annotated[Path, typer.Argument(help="A run's folder.", show_default=False)],
    out: Annotated[Path | None, typer.Option("--out", help="The page; RUN/report.html by default.")] = None,
) -> None:
    """Write the page of a finished run.

    Example: `selcn report runs/demo`
    """
    from selcn.report import write_report

    page = out or run / "report.html"
    write_report(run, page)
    typer.echo(page)
