"""`saliency`, `saliency-eval`, `saliency-quality`: where networks looked, and whether that means anything."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.cli.cluster import with_cluster
from selcn.cli.options import Device, Json, Out, progress, resumable, with_threads
from selcn.cli.storage import with_storage
from selcn.errors import ConfigError

if TYPE_CHECKING:
    from selcn.runs.jobs import Cluster

Source = Annotated[
    Path,
    typer.Argument(help="A run, one network of it (RUN/networks/symmetry/fold-0), or a bundle.", show_default=False),
]
Images = Annotated[
    list[Path] | None,
    typer.Argument(help="A catalog, or images and folders. A run has its own.", show_default=False),
]
NetworkName = Annotated[
    str | None, typer.Option("--network", "--head", help="Which network of a run or bundle; its target by default.")
]
Method = Annotated[
    str | None,
    typer.Option("--method", help="grad-cam++, grad-cam, layer-cam or eigen-cam; the network's own by default."),
]
Layer = Annotated[
    str | None,
    typer.Option("--layer", help="A layer of the backbone, such as layer3 or blocks.10; the head's input by default."),
]


class Dilation(StrEnum):
    """How true masks are dilated; the names of `selcn.evaluation.localisation.Dilation`."""

    CENTRED = "centred"
    THESIS = "thesis"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(with_threads(with_cluster(with_storage(saliency, "out"))))
    app.command("saliency-eval")(with_threads(saliency_eval))
    app.command("saliency-quality")(with_threads(saliency_quality))


def saliency(
    source: Source,
    images: Images = None,
    out: Out = Path("saliency"),
    network: NetworkName = None,
    target: Annotated[str | None, typer.Option("--target", help="Class to explain; else the predicted one.")] = None,
    method: Method = None,
    layer: Layer = None,
    overlay: Annotated[
        list[str] | None, typer.Option("--overlay", help="Also draw this image_id, or `all`. May be repeated.")
    ] = None,
    sheet: Annotated[
        list[str] | None,
        typer.Option("--sheet", help="Only draw a run's maps of all networks side by side, of this image_id or `all`."),
    ] = None,
    device: Device = "cpu",
    cluster: "Cluster | None" = None,
) -> None:
    """Saliency of every image, in one memory-mapped file at the network's own grid.

    Of a run each fold is explained by the networks that did not see it. The same command resumes after a stop, and
    draws overlays of what is already there. With `--executor` the images are shared out as jobs, with the same result.

    Example: `selcn saliency runs/demo --network diagnosis --target mel --out maps --overlay all`
    """
    if sheet:
        if images or network or target or method or overlay:
            raise ConfigError("--sheet: draws what a run has; give the run's folder and --out alone")
        _draw_sheets(source, sheet, out / "sheets")
        return
    from selcn.explain.runner import write_saliency
    from selcn.report.saliency_overlays import write_overlays
    from selcn.runs.saliency_jobs import open_job

    how = (source, tuple(images or ()), network, method, layer)
    job = open_job(*how[:3], method=method, layer=layer, device="cpu" if cluster else device)
    with resumable(), progress("explaining") as move:
        share = None
        if cluster:
            from selcn.runs.sharded import SaliencyWork, share_saliency

            share = share_saliency(cluster, SaliencyWork(*how, device, target), len(job.batches()), move)
        maps = write_saliency(job, out, target=target, share=share, on_progress=move)
    rows, height, width = maps.maps.shape
    typer.echo(f"{out}: {rows} maps of {width}x{height}, network {job.network}")
    if overlay:
        with progress("drawing") as move:
            drawn = write_overlays(maps, job.table, overlay, out / "overlays", on_progress=move)
        typer.echo(f"{out / 'overlays'}: {drawn} images")


def _draw_sheets(run: Path, wanted: list[str], out: Path) -> None:
    from selcn.report.saliency_sheets import write_sheets
    from selcn.runs.run import open_run

    with progress("drawing") as move:
        drawn = write_sheets(open_run(run), wanted, out, move)
    typer.echo(f"{out}: {drawn} images")


def saliency_eval(
    source: Source,
    images: Images = None,
    out: Out = Path("saliency-scores"),
    network: NetworkName = None,
    method: Method = None,
    layer: Layer = None,
    curves: Annotated[
        int, typer.Option("--curves", min=0, help="Images whose deletion and insertion are measured.")
    ] = 0,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="Also by diagnosis, symmetry or lesion_share. May be repeated.")
    ] = None,
    dilation: Annotated[
        Dilation, typer.Option("--dilation", help="Of true masks; thesis: 12 pixels, reaching -10 to +12.")
    ] = Dilation.CENTRED,
    resamples: Annotated[int, typer.Option("--resamples", min=1, help="Bootstrap resamples of lesions.")] = 2000,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Score saliency against true masks, beside chance, a centred Gaussian, the mask itself and random weights.

    Writes scores.csv (a row an image), summary.csv (means with 95 % intervals by lesion, and paired differences) and,
    with --by, subgroups.csv.

    Example: `selcn saliency-eval runs/demo --network symmetry --curves 100 --by diagnosis --out scores`
    """
    from selcn.evaluation.localisation import summarise_saliency, summarise_saliency_by
    from selcn.explain.scoring import write_saliency_scores
    from selcn.runs.saliency_jobs import open_job

    job = open_job(source, images or [], network, method=method, layer=layer, device=device)
    with resumable(), progress("scoring") as move:
        scores = write_saliency_scores(job, out, curves=curves, dilation=dilation.value, on_progress=move)
    summary = summarise_saliency(scores, resamples=resamples)
    summary.to_csv(out / "summary.csv", index=False)
    if by:
        summarise_saliency_by(scores, by, resamples=resamples).to_csv(out / "subgroups.csv", index=False)
    if json:
        typer.echo(summary.to_json(orient="records", indent=1))
        return
    for (against, part), rows in summary.groupby(["against", "fold_part"], sort=False):
        table = rows.pivot_table("value", "saliency", "metric", sort=False)
        typer.echo(f"network {job.network}, against the {against}, {part} ({rows['images'].max()} images)")
        typer.echo(f"{table.to_string(float_format='{:.3f}'.format, na_rep='')}\n")
    typer.echo(f"intervals are in {out / 'summary.csv'}")


def saliency_quality(
    source: Source,
    images: Images = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where the result goes; RUN/saliency-quality, or saliency-quality.")
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option("--network", "--head", help="May be repeated; the target and what it reads by default."),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", help="Another run of the same split, such as another seed. May be repeated."),
    ] = None,
    method: Method = None,
    layer: Layer = None,
    count: Annotated[
        int, typer.Option("--images", min=1, help="Images that are measured, sampled from the test subset.")
    ] = 100,
    resamples: Annotated[int, typer.Option("--resamples", min=1, help="Bootstrap resamples of lesions.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Of sample, noise, random weights and bootstrap.")] = 0,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """What saliency is worth: faithfulness, stability, sanity, symmetry, and whether it finds a known place.

    The network's map is compared with the measured map of asymmetry, random weights, a Gaussian, the true mask and
    noise. Writes NETWORK/scores.csv, quality.csv (means and paired differences with 95 % intervals by lesion) and
    quality.json; the report of a run shows them.

    Example: `selcn saliency-quality runs/demo --images 40`, or `selcn saliency-quality runs/s/seed-0 --against
    runs/s/seed-1`
    """
    from selcn.runs.saliency_quality import SUMMARY, TABLE, QualityOptions, default_folder, measure_saliency_quality

    folder = out or default_folder(source)
    options = QualityOptions(images or (), network or (), against or (), method, layer, count)
    with resumable(), progress("measuring") as move:
        table = measure_saliency_quality(
            source, folder, options, resamples=resamples, seed=seed, device=device, on_progress=move
        )
    if json:
        typer.echo((folder / SUMMARY).read_text(encoding="utf-8"))
        return
    own = table[~table["saliency"].str.contains(" - ")]
    for (name, part), rows in own.groupby(["network", "fold_part"], sort=False):
        shown = rows.pivot_table("value", "metric", "saliency", sort=False).to_string(float_format="{:.3f}".format)
        typer.echo(f"network {name}, {part} ({rows['images'].max()} images)\n{shown}\n")
    typer.echo(f"intervals and differences are in {folder / TABLE}")
