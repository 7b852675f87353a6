"""`audit`: what is wrong with a catalog and what leaks in a split."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from selcn.cli.options import CatalogPath, Jobs, Json, progress, with_threads
from selcn.errors import ConfigError

if TYPE_CHECKING:
    from selcn.data.audit import Audit

BLOCKED = 1
COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(with_threads(audit))


def audit(
    catalog: CatalogPath,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", help="A split, or NAME=SPLIT; several are checked against each other."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write every finding to this JSON file.")] = None,
    clean: Annotated[Path | None, typer.Option("--fix", help="Write a catalog without what is blocked.")] = None,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Say what is wrong with files, masks, labels and splits; exit code 1 where something blocks.

    Every file is read once. A split may be one of `selcn split`, or a CSV with `image_id` and `part`. `--fix` drops
    rows and masks, and lists them in `CLEAN.dropped.csv`.

    Example: `selcn audit catalog.csv --split split.json --fix clean.csv`
    """
    from selcn.data.audit import audit as audit_catalog
    from selcn.data.audit import fix, read_parts
    from selcn.data.catalog import read_catalog, write_catalog
    from selcn.io.files import write_text
    from selcn.io.tables import guarded

    table = read_catalog(catalog)
    splits = {name: read_parts(path) for name, path in _named(split or []).items()}
    with progress("auditing") as move:
        found = audit_catalog(table, splits, jobs=jobs, on_progress=move)
    if out:
        write_text(out, found.to_json())
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
