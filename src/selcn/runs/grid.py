"""A run whose steps are shared out among jobs: what the variants of a grid share is computed once."""

from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console

from selcn.config import load_config
from selcn.runs.jobs import Cluster, Jobs
from selcn.runs.pipeline import Pipeline
from selcn.runs.steps import WORK, read_manifest
from selcn.training.compute import Compute

JOBS = "jobs"


def run_in_jobs(pipeline: Pipeline, cluster: Cluster) -> None:
    """Everything that `Pipeline.run` does, its steps shared out among jobs; what has finished is not repeated.

    Raises:
        RunError: a job failed for good.
        ConfigError: the executor cannot be used.
    """
    pipeline.work.check()
    _ = pipeline.data.store  # made here, once, and read by all jobs
    progress = _Progress(pipeline)
    jobs = Jobs(cluster, pipeline.folder / JOBS, progress.ready, progress.done, pipeline.steps.console.print)
    jobs.run(do_steps, str(pipeline.folder.resolve()), pipeline.compute.accelerator, tuple(pipeline.track))
    pipeline.steps.tidy()


def do_steps(_number: int, run: str, accelerator: str, track: tuple[str, ...]) -> dict[str, Any]:
    """In a job: steps of a run that no other job is at, as long as there are any whose needs have finished."""
    folder, quiet = Path(run), Console(quiet=True)
    config = load_config(folder / "config.yaml")
    pipeline = Pipeline(config, folder, quiet, compute=Compute(accelerator=accelerator), track=track, worker=True)
    done: list[str] = []
    while any(_claimed(pipeline, name, done) for name in ready_steps(pipeline)):
        pass
    return {"steps": " ".join(done)}


def ready_steps(pipeline: Pipeline) -> list[str]:
    """Steps that have not finished and whose needs have."""
    finished = {name for name in pipeline.plan if pipeline.steps.finished(name)}
    return [name for name, needs in pipeline.plan.items() if name not in finished and finished.issuperset(needs)]


def _claimed(pipeline: Pipeline, name: str, done: list[str]) -> bool:
    """Do a step, unless another job is at it; the system gives up the claim of a job that is killed."""
    claims = pipeline.folder / WORK / "claims"
    claims.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(claims / name.replace("/", "--"), timeout=0):
            if not pipeline.steps.finished(name):
                pipeline.do(name)
                done.append(name)
            return True
    except Timeout:
        return False


class _Progress:
    """Tells how far a run is, and prints each step as it finishes."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.known = {name for name in pipeline.plan if pipeline.steps.finished(name)}

    def ready(self) -> int:
        """Steps that could be under way."""
        for name in self.pipeline.plan:
            if name not in self.known and self.pipeline.steps.finished(name):
                self.known.add(name)
                manifest = read_manifest(self.pipeline.folder / name)
                where = f"({manifest['seconds']:.1f} s on {manifest['host']})"
                self.pipeline.steps.console.print(f"[green]✓[/green] {name} [dim]{where}[/dim]", highlight=False)
        return len(ready_steps(self.pipeline))

    def done(self) -> int:
        """Steps that have finished."""
        return len(self.known)
