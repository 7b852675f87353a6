"""`run` and `train`: a whole run, or one network of it and what that needs."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.cli.options import Config, Overrides, progress, resumable, with_extra, with_threads
from selcn.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from selcn.config import Graph, RunConfig
    from selcn.runs.pipeline import Pipeline
    from selcn.runs.plan import Step


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
Network = Annotated[
    str,
    typer.Argument(
        help="A network of the configuration, or: segmentation, symmetry, classification, diagnosis.",
        show_default=False,
    ),
]
Masking = Annotated[str | None, typer.Option("--mask", help="What it sees: none, segmentation or lae.")]
SaliencyMasking = Annotated[
    str | None,
    typer.Option("--saliency-mask", "--cam-mask", help="What the network sees whose saliency it reads."),
]
Devices = Annotated[int, typer.Option("--devices", min=1, help="Processes a machine, a GPU each where there are any.")]
Nodes = Annotated[int, typer.Option("--nodes", min=1, help="Machines, of torchrun or SLURM.")]
On = Annotated[Accelerator, typer.Option("--accelerator", help="auto takes GPUs where there are any.")]
Track = Annotated[list[Tracker] | None, typer.Option("--track", help="Log to this too. May be repeated.")]
Profile = Annotated[bool, typer.Option("--profile", help="Only time one epoch, and say where the time goes.")]
TRAINING = ("train", "torch", "lightning", "torchmetrics", "optuna", "submitit", "tensorboard")
"""The extra that training needs, and its modules."""


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(with_threads(with_extra(run, *TRAINING)))
    app.command()(with_threads(with_extra(train, *TRAINING)))


def run(
    config: Config,
    out: RunFolder = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", help="Train with so many seeds, a folder each below --out, and compare.")
    ] = None,
    devices: Devices = 1,
    nodes: Nodes = 1,
    accelerator: On = Accelerator.AUTO,
    track: Track = None,
    overrides: Overrides = None,
) -> None:
    """Do a whole run: data, split, every network on every fold, evaluation, bundle, report.

    Stop it and start it again: what has finished is not repeated. With `--seeds`, the seed counts up from that of the
    configuration, the split stays, and tables tell the variance of lesions, seeds and folds apart.

    Example: `selcn run demo --out runs/demo`, or `selcn run demo --seeds 3 --out runs/demo-seeds`
    """
    from selcn.config import load_config
    from selcn.report import refresh_report, write_seed_report
    from selcn.runs.seeds import is_seed_folder, seed_runs, write_seed_tables

    folder, loaded = out or Path("runs") / config.stem, load_config(config, overrides)
    runs = {folder: loaded} if seeds is None else seed_runs(loaded, folder, seeds)
    follows = False
    with resumable():
        for one, of_seed in runs.items():
            pipeline = _pipeline(of_seed, one, devices, nodes, accelerator, track)
            pipeline.run()
            follows = pipeline.executor.follows
            if not follows:
                typer.echo(refresh_report(one))
    if seeds is not None and not follows:
        _print_seeds(write_seed_tables(list(runs), folder), folder)
        if is_seed_folder(folder):
            typer.echo(write_seed_report(folder))


def _print_seeds(tables: "Mapping[str, pd.DataFrame]", folder: Path) -> None:
    """Print the balanced accuracy of each table, on the test subset where there is one."""
    for file, table in tables.items():
        if not len(table):
            continue
        part = "test" if (table["fold_part"] == "test").any() else "validation"
        chosen = table[(table["metric"] == "balanced_accuracy") & (table["fold_part"] == part)]
        shown = chosen.drop(columns=["metric", "fold_part", "images", "groups"])
        typer.echo(f"\n{folder / file}: balanced accuracy, {part}")
        typer.echo(shown.to_string(index=False, float_format="{:.3f}".format, na_rep=""))


def train(
    network: Network,
    config: Annotated[Path, typer.Option("--config", help="A run's YAML, or a preset's name.")],
    out: RunFolder = None,
    mask: Masking = None,
    saliency_mask: SaliencyMasking = None,
    devices: Devices = 1,
    nodes: Nodes = 1,
    accelerator: On = Accelerator.AUTO,
    track: Track = None,
    profile: Profile = False,
    overrides: Overrides = None,
) -> None:
    """Train one network on every fold of the split, and first what it needs.

    Stop it and start it again: what has finished is not repeated. `selcn run` resumes from here.

    Example: `selcn train symmetry --config demo --out runs/demo`
    """
    from selcn.config import load_config

    folder, loaded = out or Path("runs") / config.stem, load_config(config, overrides)
    loaded, chosen = with_maskings(loaded, find_network(loaded.graph, network), mask, saliency_mask)
    names = trained_together(loaded, chosen) if network == "classification" else [chosen]
    with resumable():
        pipeline = _pipeline(loaded, folder, devices, nodes, accelerator, track)
        prepared = pipeline.prepare(only=names)
        steps = training_steps(names, prepared.split.folds)
        if profile:
            typer.echo(pipeline.profile(prepared, steps[0]).to_string(index=False, float_format="{:.3f}".format))
            return
        pipeline.do_all(prepared, steps)
    if not pipeline.executor.follows:
        typer.echo(folder)


def find_network(graph: "Graph", word: str) -> str:
    """The network that a word of the command line means: its name, or one of the thesis' three stages.

    Args:
        graph: of the configuration.
        word: `segmentation`, `symmetry`, `classification`, `diagnosis` or a network's name.

    Raises:
        ConfigError: none is meant.
    """
    symmetries = [name for name, section in graph.classifiers.items() if section.labels.column == "symmetry"]
    meant = {
        "segmentation": graph.segmenter,
        "symmetry": next(iter(symmetries), None),
        "classification": graph.target,
        "diagnosis": graph.target,
    }
    name = word if word in graph.nodes else meant.get(word)
    if name is None:
        raise ConfigError(f"network {word}: the configuration has {', '.join(graph.nodes)}; name one of them")
    return name


def trained_together(config: "RunConfig", name: str) -> list[str]:
    """A network and the twins that are trained beside it; of a variant that lacks one, the twin it is compared with.

    Args:
        config: of the run.
        name: of the network.
    """
    graph = config.graph
    twins = [one for one, node in graph.nodes.items() if node.twin_of == name]
    rivals = [a for a, b in graph.pairs() if b == name]
    return list(dict.fromkeys([name, *twins, *rivals]))


def training_steps(names: list[str], folds: int) -> "list[Step]":
    """The trainings of some networks on every fold."""
    from selcn.runs.plan import Kind, Step

    return [Step(Kind.TRAIN, name, fold) for name in names for fold in range(folds)]


def with_maskings(
    config: "RunConfig", name: str, mask: str | None, saliency_mask: str | None
) -> "tuple[RunConfig, str]":
    """A configuration that has a network under other maskings, and that network's name.

    A variant that is not there is added under a name such as `symmetry-lae` or `diagnosis-none-lae`, so that variants
    share a run's folder; its twins are added too, but for a standalone one that the configuration has already.

    Args:
        config: of the run.
        name: of the network.
        mask: its masking; None for that of the configuration.
        saliency_mask: masking of the networks whose saliency it reads; None for that of the configuration.

    Raises:
        ConfigError: the network sees whole images, reads no saliency, or there is no segmentation network.
    """
    from selcn.config import ClassificationSection, add_variant
    from selcn.data.imaging.masking import find_masking

    section = config.graph.nodes[name].section
    if mask and not isinstance(section, ClassificationSection):
        raise ConfigError("--mask: the segmentation network sees whole images; leave it out")
    sources = section.reads if isinstance(section, ClassificationSection) else ()
    reads = [source for source in sources if source in config.graph.classifiers]
    if saliency_mask and not reads:
        raise ConfigError(f"--saliency-mask: network {name} reads no saliency; leave it out")
    masking, read = (find_masking(one).name if one else None for one in (mask, saliency_mask))
    if not isinstance(section, ClassificationSection) or (masking is None and read is None):
        return config, name
    return add_variant(config, name, masking, read)


def _pipeline(
    config: "RunConfig", folder: Path, devices: int, nodes: int, accelerator: Accelerator, track: list[Tracker] | None
) -> "Pipeline":
    from selcn.runs.pipeline import Pipeline
    from selcn.training.compute import Compute

    compute = Compute(devices, nodes, accelerator.value)
    return Pipeline(config, folder, progress, compute=compute, track=[str(name) for name in track or ()])
