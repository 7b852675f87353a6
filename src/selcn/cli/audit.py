"""`audit`: what is wrong with a catalog and what leaks in a split; what a run's networks tell of its data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from selcn.cli.cluster import with_cluster
from selcn.cli.options import Jobs, Json, progress, resumable, with_threads
from selcn.cli.storage import with_storage
from selcn.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from selcn.data.audit import Audit
    from selcn.data.audit.leaks import Parts
    from selcn.runs.jobs import Cluster

BLOCKED = 1
SHEET = "sheet.html"
COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(with_threads(with_cluster(with_storage(audit, "out", "clean"))))


def audit(
    catalog: Annotated[Path | None, typer.Argument(help="A catalog made by `selcn index`.", show_default=False)] = None,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", help="A split, or NAME=SPLIT; several are checked against each other."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Instead of a catalog: what this run's networks tell of labels and images."),
    ] = None,
    network: Annotated[
        str | None, typer.Option("--network", help="Of --run: a classifier; the target by default.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write every finding to this JSON file; of --run a folder, RUN/audit by default."),
    ] = None,
    clean: Annotated[Path | None, typer.Option("--fix", help="Write a catalog without what is blocked.")] = None,
    jobs: Jobs = None,
    json: Json = False,
    cluster: "Cluster | None" = None,
) -> None:
    """Say what is wrong with files, masks, labels and splits; exit code 1 where something blocks.

    Every file is read once. A split may be one of `selcn split`, or a CSV with `image_id` and `part`. `--fix` drops
    rows and masks, and lists them in `CLEAN.dropped.csv`. With `--executor` the files are read in jobs, with the same
    findings, and what jobs found of them is kept beside `--out` until it is written.

    With `--run`, out-of-fold predictions tell which labels are probably wrong, and features which images under
    different lesions show one lesion; tables and a contact sheet to look through are written, and nothing blocks.

    Example: `selcn audit catalog.csv --split split.json --fix clean.csv`, or `selcn audit --run runs/demo`
    """
    if run is not None:
        if catalog is not None or split or clean or json or cluster:
            raise ConfigError(
                "--run: audits the run's own catalog; leave CATALOG, --split, --fix, --json and --executor out"
            )
        _audit_run(run, network, out, jobs)
        return
    if catalog is None or network:
        raise ConfigError("audit: give a catalog, or --run RUN, with which --network goes")
    if cluster and out is None:
        raise ConfigError("--executor: goes with --out, beside which jobs keep what they have found")
    _audit_catalog(catalog, split or [], out, clean, cluster or jobs, json=json)


def _audit_catalog(
    catalog: Path, split: list[str], out: Path | None, clean: Path | None, jobs: "Cluster | int | None", *, json: bool
) -> None:
    from selcn.data.audit import fix, read_parts
    from selcn.data.catalog import read_catalog, write_catalog
    from selcn.io.files import write_text
    from selcn.io.tables import guarded

    table = read_catalog(catalog)
    found = _findings(table, {name: read_parts(path) for name, path in _named(split).items()}, out, jobs)
    if json:
        typer.echo(found.to_json())
    else:
        _show(found)
    if clean:
        kept, dropped = fix(table, found)
        write_text(clean.with_suffix(".dropped.csv"), guarded(dropped).to_csv(index=False, lineterminator="\n"))
        write_catalog(kept, clean)
        masks = int((dropped["action"] == "mask dropped").sum())
        typer.echo(f"{clean}: {len(kept)} of {len(table)} images kept, {masks} masks dropped", err=json)
    if found.blocking:
        raise typer.Exit(BLOCKED)


def _findings(
    table: "pd.DataFrame", splits: "Mapping[str, Parts]", out: Path | None, jobs: "Cluster | int | None"
) -> "Audit":
    """What is found, written to ``out`` where there is one."""
    from selcn.data.audit import audit as audit_catalog
    from selcn.io.files import write_text

    with resumable(), progress("auditing") as move:
        if out and jobs and not isinstance(jobs, int):
            from selcn.runs.sharded import inspected_in_jobs

            with inspected_in_jobs(jobs, table, out, move) as inspected:
                found = audit_catalog(table, splits, inspected=inspected)
                write_text(out, found.to_json())
            return found
        threads = jobs if isinstance(jobs, int) else None
        found = audit_catalog(table, splits, jobs=threads, on_progress=move)
        if out:
            write_text(out, found.to_json())
    return found


def _audit_run(folder: Path, network: str | None, out: Path | None, jobs: int | None) -> None:
    from selcn.report.audit_sheet import write_sheet
    from selcn.runs.auditing import audit_run
    from selcn.runs.run import open_run

    run, out = open_run(folder), out or folder / "audit"
    with resumable():
        found = audit_run(run, out, network, jobs=jobs, show=progress)
    write_sheet(run, found, out / SHEET)
    if found.errors is not None:
        typer.echo(
            f"{found.network}: {len(found.errors.table)} of {found.errors.images} labels are confidently another; "
            f"about {found.errors.estimated:.0f} are estimated to be wrong"
        )
    leaking = int(found.pairs["leaks"].sum())
    typer.echo(f"{len(found.pairs)} pairs under different lesions show one lesion, {leaking} in different subsets")
    typer.echo(out / SHEET)


def _named(given: list[str]) -> dict[str, Path]:
    pairs = [text.rpartition("=") for text in given]
    named = {name or Path(path).stem: Path(path) for name, _, path in pairs}
    if len(named) < len(given):
        raise ConfigError(f"--split {' '.join(given)}: two have one name; write NAME=SPLIT")
    return named


def _show(found: "Audit") -> None:
    console, shown = Console(), Table("finding", "severity", "images", "meaning")
    shown.columns[0].no_wrap = True
    errors = 0
    for row in found.summary().to_dict("records"):
        severity = str(row["severity"])
        errors += row["findings"] * (severity == "error")
        first = f"[dim]first: {escape(str(row['example']))}[/]"
        cells = (str(row["kind"]), f"[{COLOURS[severity]}]{severity}[/]", str(row["images"]))
        shown.add_row(*cells, f"{row['meaning']}\n{first}")
    if shown.row_count:
        console.print(shown)
    console.print(f"{found.images} images: " + (f"{errors} findings block" if errors else "nothing blocks"))
