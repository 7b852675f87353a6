"""`predict` and `mask`: a cascade put to work."""

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.cli.cluster import with_cluster
from selcn.cli.options import EngineChoice, Out, progress, resumable, with_threads
from selcn.cli.storage import with_storage
from selcn.errors import ConfigError, PartialResultError, listed

if TYPE_CHECKING:
    import pandas as pd

    from selcn.inference.bundle import BundleConfig
    from selcn.inference.inputs import Item
    from selcn.inference.predictor import Predictor
    from selcn.runs.jobs import Cluster
    from selcn.runs.run import Run

DEFAULT_MASKINGS = ("segmentation", "lae")


Words = Annotated[
    list[str],
    typer.Argument(
        metavar="[BUNDLE] INPUT...",
        help="Images (also DICOM), folders, patterns, a CSV with a column of paths; - for standard input. Before them "
        "a bundle, such as runs/demo/bundle or hf://owner/name@revision; without one, that which ships with selcn.",
        show_default=False,
    ),
]
Engine = Annotated[
    EngineChoice, typer.Option("--engine", help="onnx is faster on a CPU and needs `selcn export` first.")
]
Given = Annotated[
    Path | None,
    typer.Option("--given", help="CSV of known results: image, and mask, NETWORK (a class) or NETWORK_saliency."),
]
Metadata = Annotated[
    Path | None, typer.Option("--metadata", help="CSV of age, sex and site: image, and what the bundle reads of them.")
]
Draft = Annotated[
    bool,
    typer.Option(
        "--draft",
        help="Decode large JPEG at a half, a quarter or an eighth of its size: faster, slightly other answers. "
        "Needs --no-overlays.",
    ),
]
Devices = Annotated[str, typer.Option("--devices", help="Where PyTorch runs: cpu, cuda, or cuda:0,cuda:1.")]


class Kind(StrEnum):
    """What `selcn mask` writes; the names of `selcn.inference.mask_files.MaskKind`, and all of them."""

    IMAGE = "image"
    BINARY = "binary"
    CLEAN = "clean"
    ALL = "all"


class Subset(StrEnum):
    """The subset of a run whose images are masked."""

    TEST = "test"


class TableFormat(StrEnum):
    """How rows are written as a table."""

    CSV = "csv"
    PARQUET = "parquet"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(with_threads(with_cluster(with_storage(predict, "out"))))
    app.command()(with_threads(mask))


def predict(
    words: Words,
    out: Out = Path("predictions"),
    table: Annotated[
        TableFormat | None, typer.Option("--table", help="Also write the rows as predictions.csv or .parquet.")
    ] = None,
    overlays: Annotated[bool, typer.Option(help="Draw outline and saliency on each image.")] = True,
    masks: Annotated[bool, typer.Option("--masks", help="Write each lesion's mask as PNG.")] = False,
    given: Given = None,
    metadata: Metadata = None,
    segmentations: Annotated[
        bool, typer.Option("--segmentations", help="Write each lesion of a DICOM image as DICOM Segmentation.")
    ] = False,
    draft: Draft = False,
    engine: Engine = EngineChoice.TORCH,
    devices: Devices = "cpu",
    cluster: "Cluster | None" = None,
) -> None:
    """Outline, symmetry, saliency and diagnosis of images: a JSON line each, and an overlay.

    Resumable by the same command. With `--executor` the images are shared out as jobs, with the same result.

    Example: `selcn predict lesion.jpg --out predictions`, or with a bundle of one's own
    `selcn predict runs/demo/bundle lesion.jpg more/`
    """
    from selcn.inference.batch import ROWS, OutputOptions, predict_files
    from selcn.inference.given_table import read_given
    from selcn.inference.metadata_table import add_metadata

    folder, items = _bundle_and_items(words)
    predictors, source = load_predictors(folder, engine, "cpu" if cluster else devices)
    known = read_given(given, items, predictors[0]) if given else None
    if metadata:
        known = add_metadata(metadata, items, predictors[0], known)
    predict_all = _in_jobs(cluster, folder, engine, devices) if cluster else partial(predict_files, predictors)
    options = OutputOptions(overlays=overlays, masks=masks, segmentations=segmentations, draft=draft)
    with resumable(), progress("predicting") as move:
        failed = predict_all(items, out, options=options, given=known, source=source, on_progress=move)
    if table:
        _write_table(out, table, predictors[0].config)
    typer.echo(f"{out / ROWS}: {len(items) - len(failed)} of {len(items)} files")
    if segmentations:
        _tell_unnamed(out / ROWS)
    tell_failed(failed)


def mask(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[BUNDLE] INPUT...", help="As of `predict`; with --subset a run.", show_default=False),
    ],
    out: Out = Path("masks"),
    subset: Annotated[
        Subset | None, typer.Option("--subset", help="The images of a run's test subset, in place of INPUT.")
    ] = None,
    masking: Annotated[
        list[str] | None,
        typer.Option("--masking", help="segmentation, lae, or another by name; may be repeated. Both by default."),
    ] = None,
    kind: Annotated[
        list[Kind] | None,
        typer.Option(
            "--kind", help="Masked images, binary masks, images without hair; may be repeated. All by default."
        ),
    ] = None,
    engine: Engine = EngineChoice.TORCH,
    devices: Devices = "cpu",
) -> None:
    """Lesion masks, boxes and masked images of files, as PNG of their own size, and boxes.csv.

    Resumable. Example: `selcn mask runs/demo/bundle folder/ --masking lae`, or `selcn mask runs/demo --subset test`
    """
    from selcn.inference.mask_files import BOXES, MaskKind, write_masks

    folder, items = _masked_files(words, subset)
    wanted = set(kind or [Kind.ALL])
    kinds = [one for one in MaskKind if wanted & {Kind.ALL, Kind(one.value)}]
    predictors, source = load_predictors(folder, engine, devices)
    with resumable(), progress("masking") as move:
        failed = write_masks(
            predictors,
            items,
            out,
            maskings=list(dict.fromkeys(masking or DEFAULT_MASKINGS)),
            kinds=kinds,
            source=source,
            on_progress=move,
        )
    typer.echo(f"{out / BOXES}: {len(items) - len(failed)} of {len(items)} files")
    tell_failed(failed)


def _bundle_and_items(words: list[str]) -> "tuple[Path, list[Item]]":
    """The bundle that is named first, or else the one that ships, and the files that are given."""
    from selcn.inference.inputs import list_items
    from selcn.inference.shipped import shipped_bundle, split_words

    named, pictures = split_words(words)
    items = list_items(pictures)  # first, so that a misspelt path is told before anything of a bundle
    return Path(named) if named else shipped_bundle(), items


def _masked_files(words: list[str], subset: Subset | None) -> "tuple[Path, list[Item]]":
    """A bundle, and the files that are given or those of the run's test subset, on which none of it was trained."""
    from selcn.inference.inputs import Item
    from selcn.runs.run import open_run

    if subset is None:
        if len(words) == 1 and (Path(words[0]) / "bundle").is_dir():
            raise ConfigError(f"{words[0]}: is a run; add --subset test, or give its bundle and images")
        return _bundle_and_items(words)
    if len(words) > 1:
        raise ConfigError(f"--subset {subset.value}: give the run alone; no images follow it")
    folder = Path(words[0])
    run = open_run(folder)
    tested = run.table.iloc[run.test_rows]
    if tested.empty:
        raise ConfigError(f"{folder}: its split has no test subset; give images instead of --subset")
    pairs = zip(tested["image_path"], tested["image_id"], strict=True)
    return run.folder.bundle, [Item(path, None, name) for path, name in pairs]


def load_predictors(folder: Path, engine: EngineChoice, devices: str) -> "tuple[list[Predictor], str]":
    """A predictor a device, and what identifies bundle and engine.

    Args:
        folder: of the bundle.
        engine: what runs it.
        devices: of PyTorch, between commas.
    """
    from selcn.inference.predictor import load

    predictors = [load(folder, device.strip(), engine=engine.value) for device in devices.split(",")]
    return predictors, f"{predictors[0].digest} {engine.value}"


def bundle_and_images(source: Path, catalog: Path | None) -> "tuple[Path, pd.DataFrame, Run | None]":
    """A bundle, images that it was not trained on, and the run that they are of.

    Args:
        source: a run, whose test images these are; or a bundle.
        catalog: images for a bundle; None for a run.

    Raises:
        ConfigError: a bundle without catalog, or a run without test images.
    """
    from selcn.data.catalog import read_catalog
    from selcn.inference.bundle import MANIFEST
    from selcn.runs.run import open_run

    if catalog is not None:
        return source, read_catalog(catalog), None
    if (source / MANIFEST).is_file():
        raise ConfigError(f"{source}: is a bundle; give a catalog of images that it was not trained on behind it")
    run = open_run(source)
    tested = run.table.iloc[run.test_rows].reset_index(drop=True)
    if tested.empty:
        raise ConfigError(f"{source}: its split has no test subset; give its bundle and a catalog of other images")
    return run.folder.bundle, tested, run


def tell_failed(failed: list[str]) -> None:
    """Refuse to end well where files were left out.

    Args:
        failed: the error of each.

    Raises:
        PartialResultError: there are any.
    """
    if failed:
        raise PartialResultError(f"{len(failed)} files were left out: {listed(failed)}")


def _in_jobs(cluster: "Cluster", folder: Path, engine: EngineChoice, devices: str) -> Callable[..., list[str]]:
    """In place of `predict_files` with its predictors."""
    from selcn.runs.sharded import BundleInJobs, predict_in_jobs

    return partial(predict_in_jobs, cluster, BundleInJobs(folder, engine.value, devices))


def _tell_unnamed(rows: Path) -> None:
    from selcn.inference.batch import read_rows

    unnamed = [row["segmentation_error"] for row in read_rows(rows) if "segmentation_error" in row]
    typer.echo(f"{len(unnamed)} DICOM images without segmentation{f', such as {unnamed[0]}' if unnamed else ''}")


def _write_table(out: Path, table: TableFormat, config: "BundleConfig") -> None:
    from selcn.inference.batch import ROWS, read_rows
    from selcn.inference.row import flatten, row_fields
    from selcn.inference.table import write_csv, write_parquet

    write = write_csv if table is TableFormat.CSV else write_parquet
    rows = (flatten(row, config) for row in read_rows(out / ROWS))
    write(rows, row_fields(config), out / f"predictions.{table.value}")
