"""`run` and `train`: the whole cascade, or up to one of its stages."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from selcn.cli.options import Config, Overrides, resumable
from selcn.errors import ConfigError
from selcn.labels import Masking


class StageName(StrEnum):
    """The three stages, in order."""

    SEGMENTATION = "segmentation"
    SYMMETRY = "symmetry"
    CLASSIFICATION = "classification"


RunFolder = Annotated[Path | None, typer.Option("--out", help="The run's folder; runs/NAME of the config by default.")]
Mask = Annotated[Masking | None, typer.Option("--mask", case_sensitive=False, help="Only networks that see this.")]
CamMask = Annotated[
    Masking | None, typer.Option("--cam-mask", case_sensitive=False, help="Only classifiers that read this saliency.")
]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(run)
    app.command()(train)


def run(config: Config, out: RunFolder = None, overrides: Overrides = None) -> None:
    """Run the whole cascade: data, split, three stages on every fold, evaluation, bundle, report.

    Stop it and start it again: what has finished is not repeated.

    Example: `selcn run configs/demo.yaml --out runs/demo`
    """
    from selcn.config import load_config
    from selcn.report import write_report
    from selcn.training.pipeline import Pipeline

    folder = out or Path("runs") / config.stem
    with resumable():
        Pipeline(load_config(config, overrides), folder).run()
    page = folder / "report.html"
    if not page.exists():
        write_report(folder, page)
    typer.echo(page)


def train(
    stage: Annotated[StageName, typer.Argument(help="Up to which stage.", show_default=False)],
    config: Annotated[Path, typer.Option("--config", help="A run's YAML.")],
    out: RunFolder = None,
    mask: Mask = None,
    cam_mask: CamMask = None,
    overrides: Overrides = None,
) -> None:
    """Train one stage on every fold of the split, and first what it needs.

    Stop it and start it again: what has finished is not repeated. `selcn run` goes on from here.

    Example: `selcn train symmetry --config configs/demo.yaml --out runs/demo`
    """
    from selcn.config import load_config
    from selcn.training.pipeline import Pipeline

    if mask and stage is StageName.SEGMENTATION:
        raise ConfigError("--mask: the segmentation network sees whole images; leave it out")
    if cam_mask and stage is not StageName.CLASSIFICATION:
        raise ConfigError("--cam-mask: only the lesion classifier reads saliency; leave it out")
    folder = out or Path("runs") / config.stem
    pipeline = Pipeline(load_config(config, overrides), folder)
    with resumable():
        pipeline.check()
        match stage:
            case StageName.SEGMENTATION:
                pipeline.train_segmentation()
            case StageName.SYMMETRY:
                pipeline.train_symmetries(mask)
            case StageName.CLASSIFICATION:
                pipeline.train_classifications(mask, cam_mask)
    typer.echo(folder)
