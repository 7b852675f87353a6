"""A run whose steps are jobs of their own: what the variants of a grid share is computed once."""

from pathlib import Path
from typing import Any

from rich.console import Console

from selcn.config import load_config
from selcn.training.compute import Compute
from selcn.training.jobs import Cluster, Jobs
from selcn.training.pipeline import Pipeline
from selcn.training.steps import MANIFEST


def run_in_jobs(pipeline: Pipeline, cluster: Cluster) -> None:
    """Everything that `Pipeline.run` does, each step as a job; what has finished is not repeated.

    Raises:
        RunError: jobs failed for good.
        ConfigError: the executor cannot be used.
    """
    pipeline.work.check()
    _ = pipeline.data.store  # made here, once, and read by all jobs
    left = {name: needs for name, needs in pipeline.plan.items() if not (pipeline.folder / name / MANIFEST).exists()}
    jobs = Jobs(cluster, pipeline.folder / "jobs", lambda text: pipeline.steps.console.print(text, highlight=False))
    jobs.run(left, do_step, str(pipeline.folder.resolve()), pipeline.compute.accelerator, tuple(pipeline.track))
    pipeline.steps.tidy()


def do_step(name: str, run: str, accelerator: str, track: tuple[str, ...]) -> dict[str, Any]:
    """One step of a run, in a job."""
    folder = Path(run)
    config = load_config(folder / "config.yaml")
    compute = Compute(accelerator=accelerator)
    Pipeline(config, folder, Console(quiet=True), compute=compute, track=track, worker=True).do(name)
    return {}
