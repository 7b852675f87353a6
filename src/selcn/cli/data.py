"""`phantom`, `split`, `prepare`: a synthetic data set, and from a catalog to a prepared one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.cli.cluster import with_cluster
from selcn.cli.options import CatalogPath, Jobs, Json, Labels, Out, parse_size, progress, resumable, with_threads
from selcn.cli.storage import with_storage
from selcn.errors import ConfigError
from selcn.labels import Protocol

if TYPE_CHECKING:
    import pandas as pd

    from selcn.config.sections import Hair
    from selcn.data.splits.split import Split
    from selcn.labels import LabelSet
    from selcn.runs.jobs import Cluster


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (phantom, split, with_cluster(with_storage(prepare, "out"))):
        app.command()(with_threads(command))


def phantom(
    out: Annotated[Path, typer.Argument(help="A new folder.", show_default=False)],
    images: Annotated[int, typer.Option("--images", min=1, help="How many images.")] = 600,
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


def split(
    catalog: CatalogPath,
    out: Out = Path("split.json"),
    protocol: Annotated[
        Protocol, typer.Option("--protocol", case_sensitive=False, help="How images are dealt.")
    ] = Protocol.GROUPED,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Number of folds.")] = 3,
    test: Annotated[float, typer.Option("--test", min=0, max=0.9, help="Share held out for testing.")] = 0.2,
    calibration: Annotated[
        float, typer.Option("--calibration", min=0, max=0.9, help="grouped: share to calibrate the ensemble on.")
    ] = 0.0,
    test_source: Annotated[
        list[str] | None, typer.Option("--test-source", help="external: a source that is held out. May be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same split.")] = 42,
    labels: Labels = None,
    duplicates: Annotated[
        bool, typer.Option("--duplicates/--no-duplicates", help="Read images and keep near-duplicates in one subset.")
    ] = True,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Deal images to a test subset and folds; one split for all networks.

    `grouped` deals whole patients or lesions, stratified by diagnosis (or the classes of `--labels`) and symmetry.
    `external` holds out whole sources. `thesis` divides by image as the original did, which leaks: for comparison only.

    Example: `selcn split catalog.csv --folds 3 --test 0.2 --out split.json`
    """
    from selcn.config import SplitSection, read_label_set
    from selcn.data.catalog import read_catalog
    from selcn.data.splits.protocols import make_split
    from selcn.data.splits.split import leaking_images, write_split

    _check_subsets(protocol, test, calibration, test_source or [])
    section = SplitSection(
        protocol=protocol,
        folds=folds,
        test=test,
        calibration=calibration,
        test_sources=tuple(test_source or ()),
        seed=seed,
        duplicates=duplicates,
    )
    table, classes = read_catalog(catalog), read_label_set(labels) if labels else None
    with progress("looking for duplicates") as move:
        dealt = make_split(table, section, labels=classes, jobs=jobs, on_progress=move)
    write_split(dealt, table, out)
    _print_counts(dealt, table, classes, json=json)
    _warn(dealt, leaking_images(dealt, table))


def _print_counts(dealt: "Split", table: "pd.DataFrame", classes: "LabelSet | None", *, json: bool) -> None:
    from selcn.data.splits.split import count_table

    shown = table if classes is None else table.assign(diagnosis=[*map(classes.class_of, table[classes.column])])
    counts = count_table(dealt, shown)
    typer.echo(counts.to_json(orient="index") if json else counts.to_string())


def _check_subsets(protocol: Protocol, test: float, calibration: float, test_sources: Sequence[str]) -> None:
    if (protocol is Protocol.EXTERNAL) != bool(test_sources):
        raise ConfigError("--test-source: goes with --protocol external, and only with it")
    if calibration and protocol is not Protocol.GROUPED:
        raise ConfigError("--calibration: goes with --protocol grouped, and only with it")
    if test + calibration >= 1:
        raise ConfigError("--test and --calibration leave no image for the folds; lower one of them")


def _warn(dealt: "Split", leaking: dict[str, int]) -> None:
    from selcn.labels import TEST

    if dealt.duplicates:
        typer.echo(f"{len(dealt.duplicates)} pairs of duplicates are kept in one part", err=True)
    if leaking.get(TEST):
        tested = sum(part == TEST for part in dealt.part.values())
        typer.echo(
            f"warning: {leaking[TEST]} of {tested} test images show a lesion that is also trained on; "
            "use this split for comparison only",
            err=True,
        )


def prepare(
    catalog: CatalogPath,
    out: Out = Path("store"),
    size: Annotated[str, typer.Option("--size", help="Width x height in pixels.")] = "256x192",
    hair: Annotated[bool, typer.Option("--hair/--no-hair", help="Remove hair first.")] = True,
    thesis_hair: Annotated[
        bool, typer.Option("--thesis-hair", help="Remove hair as the thesis did: red and blue swapped in grey.")
    ] = False,
    jobs: Jobs = None,
    cluster: "Cluster | None" = None,
) -> None:
    """Decode, clean and resize every image and mask once, into memory-mapped arrays.

    Stop it and start it again: what has been prepared is not repeated. With `--executor` the images are shared out as
    jobs, with the same result.

    Example: `selcn prepare catalog.csv --size 256x192 --out store`
    """
    from selcn.data.catalog import read_catalog
    from selcn.data.store.build import build_store

    table, pixels = read_catalog(catalog), parse_size(size)
    removal: Hair = "thesis" if thesis_hair else hair
    with resumable(), progress("preparing") as move:
        if cluster:
            from selcn.runs.sharded import PrepareWork, prepare_in_jobs

            store = prepare_in_jobs(cluster, PrepareWork(pixels, removal), table, out, move)
        else:
            store = build_store(table, out, size=pixels, hair=removal, jobs=jobs, on_progress=move)
    typer.echo(f"{out}: {len(store.image_ids)} images at {size}, {store.has_mask.sum()} with a mask")
