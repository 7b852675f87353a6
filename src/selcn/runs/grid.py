"""A run whose steps are distributed over jobs; what networks share is computed once."""

import logging
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from selcn.config import load_config
from selcn.runs.jobs import Cluster, Jobs
from selcn.runs.pipeline import Pipeline
from selcn.runs.plan import Step
from selcn.runs.run import Run
from selcn.training.compute import Compute

logger = logging.getLogger(__name__)


def run_in_jobs(pipeline: Pipeline, cluster: Cluster) -> Run:
    """Do everything that `Pipeline.run` does, with its steps distributed over jobs; resumable.

    Args:
        pipeline: holds the run's folder.
        cluster: where jobs run.

    Raises:
        RunError: a job failed for good.
        ConfigError: the executor cannot be used.
    """
    run = pipeline.prepare()
    progress = _Progress(run)
    jobs = Jobs(cluster, run.folder.jobs, progress.ready, progress.done)
    folder = str(run.folder.path.resolve())
    jobs.run(do_steps, folder, pipeline.compute.accelerator, tuple(pipeline.track))
    pipeline.executor.tidy()
    return run


def do_steps(_number: int, folder: str, accelerator: str, track: tuple[str, ...]) -> dict[str, Any]:
    """In a job: do steps that no other job works on, as long as there are any whose needs have finished.

    Args:
        _number: of this job; not used.
        folder: of the run.
        accelerator: see `Compute`.
        track: trackers to log to.

    Returns:
        ``steps``, the paths of the steps that this job did.

    Raises:
        SelcnError: a step failed by a user's mistake.
    """
    path = Path(folder)
    config = load_config(path / "config.yaml")
    pipeline = Pipeline(config, path, compute=Compute(accelerator=accelerator), track=track, worker=True)
    run = pipeline.prepare(check=False)
    done: list[str] = []
    while any(_claimed(pipeline, run, step, done) for step in ready_steps(run)):
        pass
    return {"steps": " ".join(done)}


def ready_steps(run: Run) -> list[Step]:
    """Unfinished steps all of whose needs have finished.

    Args:
        run: that is prepared.
    """
    finished = {step for step in run.plan if run.folder.finished(step)}
    return [step for step, needs in run.plan.items() if step not in finished and finished.issuperset(needs)]


def _claimed(pipeline: Pipeline, run: Run, step: Step, done: list[str]) -> bool:
    """Do a step, unless another job works on it; the system releases the lock of a killed job."""
    claims = run.folder.claims
    claims.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(claims / step.path.replace("/", "--"), timeout=0):
            if not run.folder.finished(step):
                pipeline.do(run, step)
                done.append(step.path)
            return True
    except Timeout:
        return False


class _Progress:
    """Counts the steps of a run, and logs each one when it finishes."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.known = {step for step in run.plan if run.folder.finished(step)}

    def ready(self) -> int:
        """Number of steps that can be in progress."""
        for step in self.run.plan:
            if step not in self.known and self.run.folder.finished(step):
                self.known.add(step)
                manifest = self.run.folder.manifest(step)
                logger.info("✓ %s (%.1f s on %s)", step, manifest["seconds"], manifest["host"])
        return len(ready_steps(self.run))

    def done(self) -> int:
        """Number of finished steps."""
        return len(self.known)
