"""`annotations`: pre-annotations for tools with which people draw masks, and their corrections back into a catalog."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.cli.options import CatalogPath, Device, EngineChoice, Out, progress, resumable, with_threads
from selcn.errors import ConfigError

if TYPE_CHECKING:
    from selcn.labels import LabelSet

commands = typer.Typer(no_args_is_help=True, help="Masks and classes by people: COCO and Label Studio.")


class Tool(StrEnum):
    """File formats of annotation tools; the names of `selcn.runs.annotating.FORMATS`."""

    COCO = "coco"
    LABEL_STUDIO = "label-studio"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    commands.command()(with_threads(export))
    commands.command("import")(import_)
    app.add_typer(commands, name="annotations")


def export(
    source: Annotated[Path, typer.Argument(help="A finished run, or a bundle with CATALOG.", show_default=False)],
    catalog: Annotated[
        Path | None, typer.Argument(help="Images for the bundle to predict; a run has its own.", show_default=False)
    ] = None,
    out: Out = Path("annotations"),
    tool: Annotated[Tool, typer.Option("--format", help="coco is read by CVAT and others.")] = Tool.COCO,
    polygons: Annotated[
        bool, typer.Option("--polygons", help="Polygons, which hold no holes, not run lengths.")
    ] = False,
    top: Annotated[int | None, typer.Option("--top", min=1, help="Only so many images, the least sure first.")] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="What Label Studio puts before a path; /data/local-files/?d= by default."),
    ] = None,
    engine: Annotated[EngineChoice, typer.Option("--engine", help="Of a bundle.")] = EngineChoice.TORCH,
    device: Device = "cpu",
) -> None:
    """Write masks and classes of a run (out of fold) or of a bundle for people to correct, the least sure first.

    Example: `selcn annotations export runs/demo --format label-studio --top 200`, or
    `selcn annotations export runs/demo/bundle catalog.csv`
    """
    from selcn.cli.predict import tell_failed
    from selcn.data.annotations.label_studio import LOCAL_FILES
    from selcn.runs.annotating import QUEUE, write_queue

    if address is not None and tool is not Tool.LABEL_STUDIO:
        raise ConfigError("--address: goes with --format label-studio; leave it out")
    with resumable():
        failed, labels = _annotate(source, catalog, out, engine, device)
    file, count = write_queue(
        out, labels, tool.value, polygons=polygons, top=top, address=LOCAL_FILES if address is None else address
    )
    typer.echo(f"{file}: {count} images, the least sure first; {out / QUEUE} lists them")
    tell_failed(failed)


def _annotate(
    source: Path, catalog: Path | None, out: Path, engine: EngineChoice, device: str
) -> "tuple[list[str], list[LabelSet]]":
    """Write annotations by a run or a bundle; what failed, and label sets of its classifiers, the target's first."""
    from selcn.runs.annotating import annotate_with_bundle, annotate_with_run

    failed: list[str] = []
    with progress("annotating") as move:
        if catalog is None:
            from selcn.runs.run import open_run

            run = open_run(source)
            annotate_with_run(run, out, move)
            target, sets = run.graph.target, {name: run.labels(name) for name in run.graph.classifiers}
        else:
            from selcn.cli.predict import load_predictors
            from selcn.data.catalog import read_catalog

            table = read_catalog(catalog)
            predictors, digest = load_predictors(source, engine, device)
            failed = annotate_with_bundle(predictors, table, out, source=digest, on_progress=move)
            config = predictors[0].config
            target, sets = config.target, {name: config.labels(name) for name in config.classifiers}
    return failed, [sets[name] for name in sorted(sets, key=lambda name: name != target)]


def import_(
    file: Annotated[Path, typer.Argument(help="COCO, or Label Studio's export as JSON.", show_default=False)],
    catalog: CatalogPath,
    out: Out = Path("corrected.csv"),
    column: Annotated[
        str, typer.Option("--column", help="What COCO's categories are of, where they do not tell it.")
    ] = "diagnosis",
    by: Annotated[str | None, typer.Option("--by", help="Who annotated, where the file does not tell it.")] = None,
) -> None:
    """Take people's masks and classes into a catalog, with who gave them, and list what changed.

    Masks go to a folder beside the new catalog, changes to OUT.corrections.csv. The old catalog stays as it is.

    Example: `selcn annotations import export.json catalog.csv --out corrected.csv`
    """
    from selcn.data.annotations.corrections import correct_catalog, read_annotations
    from selcn.data.catalog import read_catalog, write_catalog
    from selcn.io.files import write_text
    from selcn.io.tables import guarded

    if out.resolve() == catalog.resolve():
        raise ConfigError(f"--out {out}: is the catalog that is corrected; choose another")
    table, given = read_catalog(catalog), read_annotations(file, column, by)
    if not given.annotations:
        raise ConfigError(f"{file}: holds no annotations by people; export those that were submitted")
    corrected, changes = correct_catalog(table, given, out.with_suffix(".masks"))
    text = guarded(changes).to_csv(index=False, lineterminator="\n", float_format="%.4f")
    write_text(out.with_suffix(".corrections.csv"), text)
    write_catalog(corrected, out)
    for (name, change), rows in changes.groupby(["column", "change"]):
        typer.echo(f"{name}: {len(rows)} {change}")
    further = f"; {given.several} have several annotations, of which the newest counts" if given.several else ""
    typer.echo(f"{out}: {len(given.annotations)} images annotated, {given.without} of the file are not{further}")
