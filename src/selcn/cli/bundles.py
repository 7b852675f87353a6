"""`bundle` and `export`: a trained cascade as a folder that predicts."""

from pathlib import Path
from typing import Annotated

import typer

from selcn.cli.options import Out, with_extra, with_threads
from selcn.errors import ConfigError

MAX_CALIBRATION_IMAGES = 400

FalseAlarms = Annotated[
    float | None, typer.Option("--false-alarms", help="Share of usual images that each warning is given of (0.01).")
]
Coverage = Annotated[
    float | None, typer.Option("--coverage", help="Share of each class whose prediction set holds the truth (0.9).")
]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(with_threads(bundle))
    app.command()(with_threads(with_extra(export, "export", "torch", "onnx", "onnxscript")))


def bundle(
    run: Annotated[
        Path, typer.Argument(help="A finished run's folder; with --push also a bundle.", show_default=False)
    ],
    out: Out = Path("bundle"),
    network: Annotated[
        str | None, typer.Option("--network", "--variant", help="Which network answers; the run's target by default.")
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Also write it as state dicts of timm or torchvision, a file a member.")
    ] = False,
    share: Annotated[
        list[str] | None, typer.Option("--share", help="Let the first member's network of that name serve all; repeat.")
    ] = None,
    half: Annotated[
        bool | None, typer.Option("--half/--full", help="Store weights in 16 bits; by default as configured.")
    ] = None,
    false_alarms: FalseAlarms = None,
    coverage: Coverage = None,
    push: Annotated[
        str | None, typer.Option("--push", help="Also upload it to the Hugging Face hub: hf://owner/name.")
    ] = None,
) -> None:
    """Put all that predicts into one folder: weights, configuration, reliability, metrics, model card, checksums.

    With `--share` or `--half` the metrics are measured anew, on the test subset. `--push` uploads it as one commit, or
    a bundle that is there already, exports included; a new repository is private.

    Example: `selcn bundle runs/demo --network diagnosis-standalone --out standalone`, or
    `selcn bundle runs/demo/bundle --push hf://owner/name`
    """
    from selcn.inference.bundle import MANIFEST
    from selcn.inference.hub import parse_target, push_bundle

    if push:
        parse_target(push)
    if push and (run / MANIFEST).is_file():
        if network or plain or share or any(one is not None for one in (half, false_alarms, coverage)):
            raise ConfigError(f"{run}: is a bundle already; give --push alone, or its run")
        out = run
    else:
        from selcn.runs.bundling import BundleOptions, bundle_run
        from selcn.training.compute import Compute

        options = BundleOptions(plain, tuple(share or ()), half, false_alarms, coverage)
        config = bundle_run(run, out, network, options, Compute().device)
        typer.echo(f"{out}: {config.target}, {config.members} members")
    if push:
        typer.echo(push_bundle(out, push))


def export(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[BUNDLE]",
            help="A bundle's folder; without one, that which ships with selcn, of which --out takes a copy.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A new folder: a copy of the bundle with the graphs; else they go into the bundle."),
    ] = None,
    int8: Annotated[
        list[Path] | None,
        typer.Option("--int8", help="Also with 8-bit segmenters, calibrated on these images or folders."),
    ] = None,
) -> None:
    """Write a bundle's cascade as ONNX graphs into its folder, saliency included, and compare them with PyTorch.

    `selcn predict --engine onnx` then needs onnxruntime alone. Example: `selcn export runs/demo/bundle`, or of the
    bundle that ships `selcn export --out ham10000`
    """
    from selcn.data.discovery import find_pictures
    from selcn.inference.onnx.export import export_bundle, export_int8

    folder = _exported(folder, out)

    def say(what: str) -> None:
        typer.echo(what, err=True)

    if not (int8 and (folder / "onnx").exists()):
        difference = export_bundle(folder, say)
        typer.echo(f"{folder / 'onnx'}: differs from PyTorch by at most {max(difference.values()):.1e}")
    if int8:
        same = export_int8(folder, find_pictures(int8)[:MAX_CALIBRATION_IMAGES], say)
        typer.echo(f"{folder / 'onnx-int8'}: {100 * same:.1f} % of the predicted classes stay the same")


def _exported(bundle: Path | None, out: Path | None) -> Path:
    """The folder that graphs are written to: the bundle's own, or that of a copy."""
    from selcn.inference.bundle import copy_bundle
    from selcn.inference.shipped import shipped_bundle

    if bundle is None and out is None:
        raise ConfigError("the bundle that ships with selcn stays as it is; give --out FOLDER for a copy with graphs")
    source = bundle or shipped_bundle()
    if out is None:
        return source
    copy_bundle(source, out)
    return out
