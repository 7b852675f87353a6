"""`phantom`, `index`, `split`, `prepare`: from pictures to a prepared data set."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from selcn.cli.options import Jobs, Json, Out, parse_size, progress
from selcn.errors import ConfigError


class Source(StrEnum):
    """Data sets whose layout is known."""

    HAM10000 = "ham10000"
    FOLDER = "folder"


CatalogPath = Annotated[Path, typer.Argument(help="A catalog made by `selcn index`.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (phantom, index, split, prepare):
        app.command()(command)


def phantom(
    out: Annotated[Path, typer.Argument(help="A new folder.", show_default=False)],
    images: Annotated[int, typer.Option("--images", min=1, help="How many pictures.")] = 600,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same bytes.")] = 7,
    size: Annotated[str, typer.Option("--size", help="Width x height in pixels.")] = "160x120",
    jobs: Jobs = None,
) -> None:
    """Draw synthetic dermoscopy with known masks, symmetry and diagnoses.

    Example: `selcn phantom phantom/ --images 600 --seed 7`
    """
    from selcn.data.phantom import write_phantom

    with progress("drawing") as move:
        catalog = write_phantom(out, images=images, seed=seed, size=parse_size(size), jobs=jobs, on_progress=move)
    typer.echo(catalog)


def index(
    source: Annotated[Source, typer.Argument(help="The data set's layout.", show_default=False)],
    paths: Annotated[list[Path], typer.Argument(help="Its folder or folders.", show_default=False)],
    out: Out = Path("catalog.csv"),
    masks: Annotated[Path | None, typer.Option("--masks", help="folder: where the masks lie.")] = None,
    symmetry: Annotated[Path | None, typer.Option("--symmetry", help="ham10000: SymDerm's label CSV.")] = None,
) -> None:
    """Make a catalog, one row an image, of a data set as published or of a folder (a sub-folder a diagnosis).

    Example: `selcn index ham10000 HAM10000/ --symmetry SymDerm_v2_labels.csv --out catalog.csv`
    """
    from selcn.data.catalog import write_catalog
    from selcn.data.sources import index_folder, index_ham10000

    if source is Source.FOLDER:
        if len(paths) != 1 or symmetry:
            raise ConfigError("index folder: give one folder and no --symmetry; several catalogs can be joined by hand")
        table = index_folder(paths[0], masks=masks)
    else:
        if masks:
            raise ConfigError("index ham10000: give the masks' folder among the folders, not as --masks")
        table = index_ham10000(paths, symmetry=symmetry)
    write_catalog(table, out)
    typer.echo(f"{out}: {len(table)} images, {(table['mask_path'] != '').sum()} with a mask")


def split(
    catalog: CatalogPath,
    out: Out = Path("split.json"),
    folds: Annotated[int, typer.Option("--folds", min=2, help="Number of folds.")] = 3,
    test: Annotated[float, typer.Option("--test", min=0, max=0.9, help="Share held out for testing.")] = 0.2,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same split.")] = 42,
    json: Json = False,
) -> None:
    """Deal whole lesions to a test part and folds, stratified by diagnosis and symmetry; one split for all stages.

    Example: `selcn split catalog.csv --folds 3 --test 0.2 --out split.json`
    """
    from selcn.data.catalog import read_catalog
    from selcn.data.splits import count_table, grouped_split, write_split

    table = read_catalog(catalog)
    dealt = grouped_split(table, folds=folds, test=test, seed=seed)
    write_split(dealt, table, out)
    counts = count_table(dealt, table)
    typer.echo(counts.to_json(orient="index") if json else counts.to_string())


def prepare(
    catalog: CatalogPath,
    out: Out = Path("store"),
    size: Annotated[str, typer.Option("--size", help="Width x height in pixels.")] = "256x192",
    hair: Annotated[bool, typer.Option("--hair/--no-hair", help="Remove hair first.")] = True,
    jobs: Jobs = None,
) -> None:
    """Decode, clean and resize every image and mask once, into memory-mapped arrays.

    Example: `selcn prepare catalog.csv --size 256x192 --out store`
    """
    from selcn.data.catalog import read_catalog
    from selcn.data.store import build_store

    table = read_catalog(catalog)
    with progress("preparing") as move:
        store = build_store(table, out, size=parse_size(size), hair=hair, jobs=jobs, on_progress=move)
    typer.echo(f"{out}: {len(store.image_ids)} images at {size}, {store.has_mask.sum()} with a mask")
