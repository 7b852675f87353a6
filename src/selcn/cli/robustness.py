"""`robustness`: a bundle on corrupted images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.cli.metric_options import BundleEngine
from selcn.cli.options import Device, EngineChoice, Json, progress, resumable, with_threads

if TYPE_CHECKING:
    from selcn.runs.robustness import Robustness


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(with_threads(robustness))


def robustness(
    source: Annotated[Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="A run, or a bundle.", show_default=False)],
    catalog: Annotated[
        Path | None, typer.Argument(help="Images for a bundle; a run has its test subset.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where the result goes; RUN/robustness, or robustness of a bundle.")
    ] = None,
    corruption: Annotated[
        list[str] | None,
        typer.Option("--corruption", help="defocus, motion, hair, ink ...; may be repeated. All by default."),
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="This many images, sampled at random; all by default.")
    ] = None,
    overlap: Annotated[
        bool, typer.Option("--overlap", help="Also images of lesions that the bundle was trained on.")
    ] = False,
    engine: BundleEngine = EngineChoice.TORCH,
    device: Device = "cpu",
    resamples: Annotated[int, typer.Option("--resamples", min=1, help="Bootstrap resamples of lesions.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Of corruptions, sample and bootstrap.")] = 0,
    json: Json = False,
) -> None:
    """Accuracy, calibration, abstention, prediction sets and saliency under corruptions of five severities.

    Blur, light, compression, noise, artefacts (hair, ruler, bubbles, ink, vignette) and geometry, each beside the clean
    images, with 95 % intervals by lesion. The same command resumes after a stop; the report of a run shows it.

    Example: `selcn robustness runs/demo --images 40`, or `selcn robustness runs/demo/bundle catalog.csv --out robust`
    """
    from selcn.cli.predict import bundle_and_images, load_predictors, tell_failed
    from selcn.runs.robustness import TABLE, Wanted, measure_robustness

    bundle, table, run = bundle_and_images(source, catalog)
    folder = out or (run.folder.robustness if run else Path("robustness"))
    (predictor,), _ = load_predictors(bundle, engine, device)
    with resumable(), progress("corrupting") as move:
        wanted = Wanted(tuple(corruption or ()), images, overlap)
        found = measure_robustness(
            predictor, bundle, table, folder, wanted, resamples=resamples, seed=seed, on_progress=move
        )
    typer.echo(found.to_json() if json else _shown(found, folder / TABLE))
    tell_failed(found.failed)


def _shown(found: "Robustness", path: Path) -> str:
    """Means over severities as a table."""
    averaged = found.table[found.table["severity"].isin(["0", "mean"])]
    table = averaged.pivot_table("value", "corruption", "metric", sort=False).to_string(float_format="{:.3f}".format)
    said = f"{found.bundle} on {found.images} images, means over severities"
    return f"{said}; {found.without_truth} images without truth left out\n{table}\nintervals are in {path}"
