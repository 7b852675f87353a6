"""`index`: data sets as published, and images of one's own, to a catalog."""

import json as json_format
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.cli.options import Json, Out, progress, with_threads
from selcn.errors import ConfigError

if TYPE_CHECKING:
    from selcn.data.sources import Indexed, SourceSpec


FLAGS = {
    "masks": "--masks",
    "labels": "--labels",
    "columns": "--column",
    "symmetry": "--symmetry",
    "skip_missing": "--skip-missing",
}


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(with_threads(index))


def index(
    source: Annotated[str, typer.Argument(help="The data set's layout, by name.", show_default=False)],
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Its folders or files; symderm: label CSVs, catalogs; merge: catalogs.", show_default=False
        ),
    ],
    out: Out = Path("catalog.csv"),
    masks: Annotated[Path | None, typer.Option("--masks", help="folder: where the masks lie.")] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="folder: a table (CSV or .xlsx) with a row an image.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option("--column", help="folder: --column diagnosis=THEIRS. May be repeated.")
    ] = None,
    symmetry: Annotated[Path | None, typer.Option("--symmetry", help="ham10000: SymDerm's label CSV.")] = None,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out a table's rows whose image is not there, and count them.")
    ] = False,
    aliases: Annotated[
        Path | None,
        typer.Option("--aliases", help="YAML: a diagnosis as published, and what it is to be taken as."),
    ] = None,
    json: Json = False,
) -> None:
    """Make a catalog, one row an image, of a data set as published or of images of your own.

    `ham10000`, `isic` (challenges 2016 to 2024, archive exports), `ph2`, `derm7pt` and `milk10k` read the published
    folders. `folder` reads a sub-folder a diagnosis, or a table. `symderm` adds symmetry labels to catalogs; `merge`
    joins catalogs. Every diagnosis that is found is listed with what it is taken as, those of no known kind first;
    then what was not used, and why.

    Example: `selcn index ham10000 HAM10000/ --symmetry SymDerm/SymDerm_v2_labels.csv --out catalog.csv`
    """
    from selcn.config import read_aliases
    from selcn.data.catalog import write_catalog

    given = (masks, labels, _columns(column or []), symmetry, skip_missing)
    indexed = _read(source, paths, {name: value for name, value in zip(FLAGS, given, strict=True) if value})
    if aliases:
        indexed = indexed.renamed(read_aliases(aliases))
    write_catalog(indexed.table, out)
    _say(indexed, out, json)


def _read(source: str, paths: list[Path], options: dict[str, object]) -> "Indexed":
    from selcn.data.sources import find_source

    spec = find_source(source)
    _refuse_others(spec, options)
    with progress("indexing") as move:
        if "on_progress" in spec.options:
            options["on_progress"] = move
        return spec.index(paths, **options)


def _refuse_others(spec: "SourceSpec", options: Iterable[str]) -> None:
    from selcn.data.sources import source_specs

    for name in options:
        if name not in spec.options:
            takers = " or ".join(one.name for one in source_specs().values() if name in one.options)
            raise ConfigError(
                f"{FLAGS[name]}: goes with `selcn index {takers}` only; give {spec.name} its folders or files alone"
            )


def _columns(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    wrong = [text for text, (ours, _, theirs) in zip(given, pairs, strict=True) if not (ours and theirs)]
    if wrong:
        raise ConfigError(f"--column {wrong[0]}: write the catalog's name = the table's, such as diagnosis=dx")
    return {ours: theirs for ours, _, theirs in pairs}


def _say(indexed: "Indexed", out: Path, json: bool) -> None:
    known = {
        what: int((indexed.table[column] != "").sum())
        for what, column in (("mask", "mask_path"), ("diagnosis", "diagnosis"), ("symmetry", "symmetry"))
    }
    images, diagnoses = len(indexed.table), indexed.diagnoses()
    notes = {what: count for what, count in indexed.notes.items() if count}
    if json:
        found = [one._asdict() for one in diagnoses]
        typer.echo(
            json_format.dumps({"catalog": str(out), "images": images, **known, "diagnoses": found, "notes": notes})
        )
        return
    typer.echo(f"{out}: {images} images, " + ", ".join(f"{count} with a {what}" for what, count in known.items()))
    if diagnoses:
        width = max(len(one.published) for one in diagnoses)
        typer.echo(f"{'published as':{width}}  {'taken as':20}  images")
    for one in diagnoses:
        typer.echo(f"{one.published:{width}}  {one.taken_as or '(unknown)':20}  {one.images:6}")
    for what, count in notes.items():
        typer.echo(f"{what}: {count}")
