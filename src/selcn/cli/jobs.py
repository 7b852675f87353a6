"""`grid` and `tune`: many trainings, handed out as jobs."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.cli.cluster import Executor, with_cluster
from selcn.cli.options import Config, Overrides, progress, resumable, with_extra, with_threads
from selcn.cli.train import (
    TRAINING,
    Accelerator,
    Masking,
    Network,
    On,
    RunFolder,
    SaliencyMasking,
    Track,
    find_network,
    with_maskings,
)

if TYPE_CHECKING:
    from selcn.runs.jobs import Cluster


class Pruner(StrEnum):
    """How trials are given up early."""

    HALVING = "halving"
    MEDIAN = "median"
    NONE = "none"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (grid, tune):
        app.command()(with_threads(with_cluster(with_extra(command, *TRAINING), Executor.LOCAL)))


def grid(
    cluster: "Cluster",
    config: Config,
    out: RunFolder = None,
    attention: Annotated[bool, typer.Option("--attention", help="Also the nine variants with attention.")] = False,
    controls: Annotated[bool, typer.Option("--controls", help="Also zero, shuffled and random saliency.")] = False,
    accelerator: On = Accelerator.AUTO,
    track: Track = None,
    overrides: Overrides = None,
) -> None:
    """Run the whole grid: 3 standalone classifiers and 9 that read saliency, what they share computed once.

    Each fold of each network is a job. Stop it and start it again: what has finished is not repeated. The table of what
    ran where is RUN/jobs/jobs.csv.

    Example: `selcn grid light --out runs/grid --controls --jobs 2`
    """
    from selcn.config import grid_config, load_config
    from selcn.report import refresh_report
    from selcn.runs.grid import run_in_jobs
    from selcn.runs.metrics import grid_table
    from selcn.runs.pipeline import Pipeline
    from selcn.training.compute import Compute

    folder = out or Path("runs") / f"{config.stem}-grid"
    loaded = load_config(config, overrides)
    target, expanded = loaded.graph.target, grid_config(loaded, attention=attention, controls=controls)
    with resumable():
        compute = Compute(accelerator=accelerator.value)
        pipeline = Pipeline(expanded, folder, progress, compute=compute, track=[str(name) for name in track or ()])
        run = run_in_jobs(pipeline, cluster)
    names = [name for name in expanded.graph.classifiers if name.startswith(f"{target}-")]
    typer.echo(grid_table(run, names).to_string(index=False, float_format="{:.3f}".format))
    typer.echo(refresh_report(folder))


def tune(
    cluster: "Cluster",
    network: Network,
    config: Annotated[Path, typer.Option("--config", help="A run's YAML, or a preset's name.")],
    out: RunFolder = None,
    trials: Annotated[int, typer.Option("--trials", min=1, help="Trials in all, earlier ones of the study too.")] = 20,
    name: Annotated[str | None, typer.Option("--name", help="Of the study; the network's by default.")] = None,
    storage: Annotated[
        str | None, typer.Option("--storage", help="An RDB's URL; a journal file in the run by default.")
    ] = None,
    space: Annotated[Path | None, typer.Option("--space", help="YAML of ranges; the thesis' by default.")] = None,
    pruner: Annotated[Pruner, typer.Option("--pruner", help="How trials are given up early.")] = Pruner.HALVING,
    fold: Annotated[int, typer.Option("--fold", min=0, help="The fold that trials are validated on.")] = 0,
    mask: Masking = None,
    saliency_mask: SaliencyMasking = None,
    accelerator: On = Accelerator.AUTO,
    overrides: Overrides = None,
) -> None:
    """Search for a network's hyperparameters with Optuna, each job a worker on one study.

    Trials train without one fold and are scored on it; the test subset is never looked at. Stop it and start it again:
    the study resumes. `selcn train NETWORK --config RUN/tuning/NAME/best.yaml` takes what was found.

    Example: `selcn tune symmetry --config light --out runs/tuned --trials 20 --jobs 2`
    """
    from selcn.config import load_config
    from selcn.runs.pipeline import Pipeline
    from selcn.runs.tuning import find, read_space, thesis_space
    from selcn.runs.tuning import tune as search_in_jobs
    from selcn.training.compute import Compute

    folder, loaded = out or Path("runs") / f"{config.stem}-tuning", load_config(config, overrides)
    name_of = find_network(loaded.graph, network)
    loaded, name_of = with_maskings(loaded, name_of, mask, saliency_mask)
    ranges = read_space(space) if space else thesis_space(loaded.graph.nodes[name_of].section)
    with resumable():
        pipeline = Pipeline(loaded, folder, progress, compute=Compute(accelerator=accelerator.value))
        run = pipeline.prepare(only=[name_of])
        search = find(
            run, name_of, space=ranges, trials=trials, name=name, storage=storage, pruner=pruner.value, fold=fold
        )
        found = search_in_jobs(pipeline, run, search, cluster)
    typer.echo(found / "best.yaml")
