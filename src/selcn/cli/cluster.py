"""Options of commands whose work is shared out as jobs."""

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import TYPE_CHECKING, Annotated

import typer

from selcn.errors import ConfigError, check_extra

if TYPE_CHECKING:
    from selcn.runs.jobs import Cluster


class Executor(StrEnum):
    """Where jobs run."""

    LOCAL = "local"
    SLURM = "slurm"


Where = Annotated[
    Executor | None, typer.Option("--executor", help="Work in jobs: processes of this machine, or of SLURM.")
]
_AT_ONCE = "Jobs at once; one a GPU (or one) here, all on SLURM."
AtOnce = Annotated[int | None, typer.Option("--jobs", min=1, help=_AT_ONCE)]
AtOnceOrThreads = Annotated[
    int | None,
    typer.Option("--jobs", min=1, help="Images in work at once, else as --threads; with --executor jobs at once."),
]
Retries = Annotated[
    int,
    typer.Option("--retries", min=0, help="How often in a row jobs may be killed or fail without finishing any work."),
]
Hours = Annotated[float, typer.Option("--hours", min=0.02, help="Time limit of a job.")]
Slurm = Annotated[
    list[str] | None, typer.Option("--slurm", help="SLURM's own, such as partition=gpu or gpus_per_node=1. Repeatable.")
]
_OPTIONS = {"executor": Where, "jobs": AtOnce, "retries": Retries, "hours": Hours, "slurm": Slurm}


def with_cluster(command: Callable[..., None], default: Executor | None = None) -> Callable[..., None]:
    """A command with the options of jobs, which is given them as ``cluster``.

    Args:
        command: has a parameter ``cluster``, a `selcn.runs.jobs.Cluster`, or None where no executor is named. One that
            has a parameter ``jobs`` too is given the number of `--jobs` there as well.
        default: executor where none is named.
    """
    of_command = inspect.signature(command)
    threads = "jobs" in of_command.parameters

    @wraps(command)
    def run(
        executor: Executor | None = default,
        jobs: int | None = None,
        retries: int = 2,
        hours: float = 24,
        slurm: list[str] | None = None,
        **options: object,
    ) -> None:
        if jobs and not (executor or threads):
            raise ConfigError("--jobs: goes with --executor only")
        cluster = _cluster(executor, jobs, retries, hours, slurm or [])
        command(cluster=cluster, **options, **({"jobs": jobs} if threads else {}))

    annotations = {**_OPTIONS, **({"jobs": AtOnceOrThreads} if threads else {})}
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=annotations[name])
        for name, option in inspect.signature(run, follow_wrapped=False).parameters.items()
        if name in annotations
    ]
    kept = [option for name, option in of_command.parameters.items() if name not in ("cluster", "jobs")]
    run.__signature__ = of_command.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in (*kept, *added)}
    return run


def _cluster(
    executor: Executor | None, jobs: int | None, retries: int, hours: float, slurm: list[str]
) -> "Cluster | None":
    if slurm and executor is not Executor.SLURM:
        raise ConfigError("--slurm: goes with --executor slurm only")
    if executor is None:
        return None
    check_extra("train", ("submitit",), "--executor")
    from selcn.runs.jobs import Cluster

    pairs = [text.partition("=") for text in slurm]
    wrong = [text for text, (name, _, value) in zip(slurm, pairs, strict=True) if not (name and value)]
    if wrong:
        raise ConfigError(f"--slurm {wrong[0]}: write it as name=value, such as partition=gpu")
    return Cluster(executor.value, jobs, retries, hours, {name: value for name, _, value in pairs})
