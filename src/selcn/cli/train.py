"""`run` and `train`: the whole cascade, or up to one of its stages."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.cli.options import Config, Overrides, resumable
from selcn.errors import ConfigError
from selcn.labels import Masking, StageName

if TYPE_CHECKING:
    from selcn.runs.pipeline import Pipeline


class Accelerator(StrEnum):
    """What to compute on."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


class Tracker(StrEnum):
    """Trackers besides CSV and TensorBoard."""

    WANDB = "wandb"
    MLFLOW = "mlflow"


RunFolder = Annotated[Path | None, typer.Option("--out", help="The run's folder; runs/NAME of the config by default.")]
Mask = Annotated[Masking | None, typer.Option("--mask", case_sensitive=False, help="Only networks that see this.")]
CamMask = Annotated[
    Masking | None, typer.Option("--cam-mask", case_sensitive=False, help="Only classifiers that read this saliency.")
]


Devices = Annotated[int, typer.Option("--devices", min=1, help="Processes a machine, a GPU each where there are any.")]
Nodes = Annotated[int, typer.Option("--nodes", min=1, help="Machines, of torchrun or SLURM.")]
On = Annotated[Accelerator, typer.Option("--accelerator", help="auto takes GPUs where there are any.")]
Track = Annotated[list[Tracker] | None, typer.Option("--track", help="Log to this too. May be repeated.")]
Profile = Annotated[bool, typer.Option("--profile", help="Only time one epoch, and say where the time goes.")]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(run)
    app.command()(train)


def run(
    config: Config,
    out: RunFolder = None,
    devices: Devices = 1,
    nodes: Nodes = 1,
    accelerator: On = Accelerator.AUTO,
    track: Track = None,
    overrides: Overrides = None,
) -> None:
    """Run the whole cascade: data, split, three stages on every fold, evaluation, bundle, report.

    Stop it and start it again: what has finished is not repeated.

    Example: `selcn run demo --out runs/demo`
    """
    from selcn.report import write_report

    folder = out or Path("runs") / config.stem
    with resumable():
        pipeline = _pipeline(config, folder, overrides, devices, nodes, accelerator, track)
        pipeline.run()
    page = folder / "report.html"
    if pipeline.steps.follows:
        return
    if not page.exists() or page.stat().st_mtime < (folder / "evaluation" / "step.json").stat().st_mtime:
        write_report(folder, page)
    typer.echo(page)


def train(
    stage: Annotated[StageName, typer.Argument(help="Up to which stage.", show_default=False)],
    config: Annotated[Path, typer.Option("--config", help="A run's YAML, or a preset's name.")],
    out: RunFolder = None,
    mask: Mask = None,
    cam_mask: CamMask = None,
    devices: Devices = 1,
    nodes: Nodes = 1,
    accelerator: On = Accelerator.AUTO,
    track: Track = None,
    profile: Profile = False,
    overrides: Overrides = None,
) -> None:
    """Train one stage on every fold of the split, and first what it needs.

    Stop it and start it again: what has finished is not repeated. `selcn run` goes on from here.

    Example: `selcn train symmetry --config demo --out runs/demo`
    """
    if mask and stage is StageName.SEGMENTATION:
        raise ConfigError("--mask: the segmentation network sees whole images; leave it out")
    if cam_mask and stage is not StageName.CLASSIFICATION:
        raise ConfigError("--cam-mask: only the lesion classifier reads saliency; leave it out")
    folder = out or Path("runs") / config.stem
    with resumable():
        pipeline = _pipeline(config, folder, overrides, devices, nodes, accelerator, track)
        pipeline.work.check()
        steps = pipeline.work.steps(stage, mask, cam_mask)
        if profile:
            typer.echo(pipeline.profile(steps[0]).to_string(index=False, float_format="{:.3f}".format))
            return
        pipeline.train(steps)
    if not pipeline.steps.follows:
        typer.echo(folder)


def _pipeline(
    config: Path,
    folder: Path,
    overrides: list[str] | None,
    devices: int,
    nodes: int,
    accelerator: Accelerator,
    track: list[Tracker] | None,
) -> "Pipeline":
    from selcn.config import load_config
    from selcn.runs.pipeline import Pipeline
    from selcn.training.compute import Compute

    compute = Compute(devices, nodes, accelerator.value)
    return Pipeline(load_config(config, overrides), folder, compute=compute, track=[str(name) for name in track or ()])
