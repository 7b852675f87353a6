"""`predict`: a bundle on pictures."""

from pathlib import Path
from typing import Annotated

import typer

from selcn.cli.options import Device, Out, progress
from selcn.errors import DataError

MOST_ERRORS = 5


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(bundle)
    app.command()(predict)


def bundle(
    run: Annotated[Path, typer.Argument(help="A finished run's folder.", show_default=False)],
    out: Out = Path("bundle"),
    variant: Annotated[
        str | None, typer.Option("--variant", help="Which lesion classifier; else the first that reads saliency.")
    ] = None,
) -> None:
    """Put all that predicts into one folder: weights, configuration, safeguards, figures, model card, checksums.

    Example: `selcn bundle runs/demo --variant standalone-none --out standalone`
    """
    from selcn.training.deployment import bundle_run

    config = bundle_run(run, out, variant)
    typer.echo(f"{out}: {config.variant.name}, {config.members} members")


def predict(
    bundle: Annotated[Path, typer.Argument(help="A bundle, such as runs/demo/bundle.", show_default=False)],
    images: Annotated[list[Path], typer.Argument(help="Pictures and folders of them.", show_default=False)],
    out: Out = Path("predictions"),
    device: Device = "cpu",
) -> None:
    """Outline, symmetry, saliency and diagnosis of pictures: a JSON line and an overlay picture an image.

    Example: `selcn predict runs/demo/bundle lesion.jpg more-pictures/ --out predictions`
    """
    from selcn.data.sources import find_pictures
    from selcn.inference import load
    from selcn.report.predictions import predict_files

    pictures = find_pictures(images)
    predictor = load(bundle, device)
    with progress("predicting") as move:
        failed = predict_files(predictor, pictures, out, on_progress=move)
    typer.echo(f"{out / 'predictions.jsonl'}: {len(pictures) - len(failed)} of {len(pictures)} pictures")
    if failed:
        more = f" | and {len(failed) - MOST_ERRORS} more" if len(failed) > MOST_ERRORS else ""
        raise DataError(f"{len(failed)} pictures were left out: {' | '.join(failed[:MOST_ERRORS])}{more}")
