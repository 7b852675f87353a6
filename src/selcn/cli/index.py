"""`index`: data sets as published, and pictures of one's own, to a catalog."""

import json as json_format
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.cli.options import Json, Out, progress
from selcn.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from selcn.data.sources import Indexed


class Source(StrEnum):
    """Data sets whose layout is known, and what joins catalogs."""

    HAM10000 = "ham10000"
    ISIC = "isic"
    PH2 = "ph2"
    SYMDERM = "symderm"
    FOLDER = "folder"
    MERGE = "merge"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(index)


def index(
    source: Annotated[Source, typer.Argument(help="The data set's layout.", show_default=False)],
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Its folders or files; symderm: label CSVs, catalogs; merge: catalogs.", show_default=False
        ),
    ],
    out: Out = Path("catalog.csv"),
    masks: Annotated[Path | None, typer.Option("--masks", help="folder: where the masks lie.")] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help="folder: a CSV with a row an image.")] = None,
    column: Annotated[
        list[str] | None, typer.Option("--column", help="folder: --column diagnosis=THEIRS. May be repeated.")
    ] = None,
    symmetry: Annotated[Path | None, typer.Option("--symmetry", help="ham10000: SymDerm's label CSV.")] = None,
    json: Json = False,
) -> None:
    """Make a catalog, one row an image, of a data set as published or of pictures of your own.

    `ham10000`, `isic` (challenges 2016 to 2020, archive exports) and `ph2` read the published folders. `folder` reads a
    sub-folder a diagnosis, or a table. `symderm` adds symmetry labels to catalogs; `merge` joins catalogs.

    Example: `selcn index ham10000 HAM10000/ --symmetry SymDerm_v2_labels.csv --out catalog.csv`
    """
    from selcn.data.catalog import write_catalog

    for option, given, its in (
        ("--masks", masks, Source.FOLDER),
        ("--labels", labels, Source.FOLDER),
        ("--column", column, Source.FOLDER),
        ("--symmetry", symmetry, Source.HAM10000),
    ):
        if given and source is not its:
            raise ConfigError(f"{option}: goes with `selcn index {its}` only; give {source} its folders or files alone")
    indexed = _index(source, paths, masks, labels, _columns(column or []), symmetry)
    write_catalog(indexed.table, out)
    _say(indexed, out, json)


def _index(
    source: Source,
    paths: list[Path],
    masks: Path | None,
    labels: Path | None,
    columns: dict[str, str],
    symmetry: Path | None,
) -> "Indexed":
    from selcn.data import sources
    from selcn.data.catalog import read_catalog

    match source:
        case Source.HAM10000:
            return sources.index_ham10000(paths, symmetry=symmetry)
        case Source.ISIC:
            return sources.index_isic(paths)
        case Source.PH2:
            return sources.index_ph2(paths)
        case Source.FOLDER:
            if len(paths) > 1:
                raise ConfigError("index folder: give one folder; `selcn index merge` joins catalogs of several")
            if columns and not labels:
                raise ConfigError("--column: names columns of a table; give it as --labels")
            return sources.index_folder(paths[0], masks=masks, labels=labels, columns=columns)
        case Source.SYMDERM:
            tables = [path for path in paths if _is_labels(path)]
            catalogs = [(str(path), read_catalog(path)) for path in paths if path not in tables]
            if not tables or not catalogs:
                raise ConfigError("index symderm: give a label CSV and the catalogs that hold its images")
            merged = _merged(catalogs)
            joined = sources.join_symmetry(merged.table, tables)
            return sources.Indexed(joined.table, merged.notes | joined.notes)
        case Source.MERGE:
            return _merged([(str(path), read_catalog(path)) for path in paths])


def _merged(catalogs: "list[tuple[str, pd.DataFrame]]") -> "Indexed":
    from selcn.data.merge import merge_catalogs

    with progress("comparing pictures") as move:
        return merge_catalogs(catalogs, on_progress=move)


def _is_labels(path: Path) -> bool:
    from selcn.io.tables import read_table

    return "labels_symmetry" in read_table(path).columns


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
    images, unmapped = len(indexed.table), indexed.unmapped()
    notes = {what: count for what, count in indexed.notes.items() if count}
    if json:
        typer.echo(
            json_format.dumps({"catalog": str(out), "images": images, **known, "unmapped": unmapped, "notes": notes})
        )
        return
    typer.echo(f"{out}: {images} images, " + ", ".join(f"{count} with a {what}" for what, count in known.items()))
    if unmapped:
        names = ", ".join(f"{count} {name}" for name, count in unmapped.items())
        typer.echo(f"left out of training of the diagnosis, being none of the seven: {names}")
    for what, count in notes.items():
        typer.echo(f"{what}: {count}")
