"""Workers as jobs, through submitit: processes of this machine, or of a SLURM cluster."""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import submitit

from selcn.errors import ConfigError, RunError, SelcnError, StorageError
from selcn.io.files import write_text
from selcn.io.threads import THREADS, keep_memory, usable_cores

logger = logging.getLogger(__name__)
POLL_SECONDS = {"local": 0.2, "slurm": 2.0}
"""Interval at which the jobs of an executor are polled."""
TABLE = "jobs.csv"
_GENERAL = ("gpus_per_node", "cpus_per_task", "mem_gb", "nodes", "tasks_per_node")
Work = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Cluster:
    """Where jobs run.

    Attributes:
        executor: `local` or `slurm`.
        jobs: how many at once; None for one a GPU of this machine (or one), and on SLURM for as many as there is work.
        retries: how often in a row jobs may be killed or fail without any work being finished.
        hours: time limit of a job.
        slurm: further parameters of SLURM by name, such as partition, gpus_per_node, cpus_per_task, mem_gb.
    """

    executor: str = "local"
    jobs: int | None = None
    retries: int = 2
    hours: float = 24.0
    slurm: Mapping[str, str] = field(default_factory=dict)

    def start(self, logs: Path) -> submitit.Executor:
        """The submitit executor.

        Args:
            logs: folder for the logs of its jobs.

        Raises:
            ConfigError: SLURM is not available, or has no such parameter.
        """
        try:
            executor = submitit.AutoExecutor(logs, cluster=self.executor)
            names = {name: name if name in _GENERAL else f"slurm_{name}" for name in self.slurm}
            special = {names[name]: _number(value) for name, value in self.slurm.items()}
            executor.update_parameters(timeout_min=max(round(self.hours * 60), 1), name="selcn", **special)
        except (RuntimeError, NameError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:150]
            raise ConfigError(f"--executor {self.executor}: cannot be used ({reason}); use local") from None
        return executor

    @property
    def most(self) -> int:
        """The largest number of jobs at once."""
        if self.jobs is not None:
            return self.jobs
        return 10**6 if self.executor == "slurm" else max(gpus(), 1)


@dataclass
class _Running:
    slot: int
    job: submitit.Job[dict[str, Any]]
    done_before: int


class Jobs:
    """Keeps as many workers running as there is work for, and replaces one that is killed.

    Args:
        cluster: where jobs run.
        folder: for the table of the jobs, and their logs.
        ready: returns how many pieces of work can be done at once now, those in progress included.
        done: returns how many pieces of work have been finished.
    """

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        ready: Callable[[], int],
        done: Callable[[], int],
    ) -> None:
        self.cluster, self.folder, self.ready, self.done = cluster, folder, ready, done
        self.executor = cluster.start(folder / "logs")
        self.rows: list[dict[str, Any]] = []
        if (folder / TABLE).exists():
            self.rows = [dict(row) for _, row in pd.read_csv(folder / TABLE, dtype=str, na_filter=False).iterrows()]

    def run(self, work: Work, *arguments: object) -> None:
        """Run ``work(number, *arguments)`` in jobs until nothing is left to do.

        Args:
            work: a function of a module, with the job's number among those at once; it does pieces of work until it
                finds none, and returns what enters the table.
            arguments: pickled for each job.

        Raises:
            RunError: a job failed for a reason that a retry does not remedy, or too often in a row.
        """
        running: list[_Running] = []
        fault, in_a_row = "", 0
        with self._cancelled(running):
            while True:
                wanted = 0 if fault else min(self.cluster.most, self.ready())
                while len(running) < wanted:
                    running.append(self._submit(running, work, arguments))
                if not running:
                    break
                for one in self._ended(running):
                    running.remove(one)
                    failure, final = self._record(one)
                    in_a_row = in_a_row + 1 if failure and self.done() == one.done_before else 0
                    if failure and (final or in_a_row > self.cluster.retries):
                        fault = failure
        if fault:
            raise RunError(f"a job failed: {fault}; mend the cause and start again, what is finished stays")

    def _submit(self, running: list[_Running], work: Work, arguments: tuple[object, ...]) -> _Running:
        slot = next(number for number in range(len(running) + 1) if number not in {one.slot for one in running})
        local = self.cluster.executor == "local"
        with _threads(max(usable_cores() // self.cluster.most, 1) if local else None):
            return _Running(slot, self.executor.submit(_in_job, work, slot, local, arguments), self.done())

    def _ended(self, running: list[_Running]) -> list[_Running]:
        """Jobs that have ended; waits until there are any, or until there is work for more."""
        while True:
            ended = [one for one in running if one.job.done()]
            if ended or len(running) < min(self.cluster.most, self.ready()):
                return ended
            time.sleep(POLL_SECONDS[self.cluster.executor])

    def _record(self, one: _Running) -> tuple[str, bool]:
        """Why a job failed, or "", and whether a retry is useless."""
        result = self._result(one.job)
        fault, final = str(result.pop("error", "")), bool(result.pop("final", True))
        self.rows.append({"id": one.job.job_id, "state": "failed" if fault else "done", "why": fault, **result})
        write_text(self.folder / TABLE, pd.DataFrame(self.rows).to_csv(index=False))
        if fault:
            logger.warning("job %s failed: %s", one.job.job_id, fault)
        return fault, final

    def _result(self, job: submitit.Job[dict[str, Any]]) -> dict[str, Any]:
        killed = {"error": f"was killed, or ran out of memory or time (log: {job.paths.stderr})", "final": False}
        if self.cluster.executor == "local" and not job.paths.result_pickle.exists():
            return killed  # at once: submitit would wait for a slow file system to show a result
        try:
            return job.result()
        except submitit.core.utils.UncompletedJobError:
            return killed
        except Exception as error:  # a job or its cluster may raise anything
            return {"error": f"{_reason(str(error))} (log: {job.paths.stderr})", "final": False}

    @contextmanager
    def _cancelled(self, running: list[_Running]) -> Iterator[None]:
        """Cancel running jobs when this process is stopped."""
        try:
            yield
        except BaseException:
            for one in running:
                one.job.cancel(check=False)
            raise


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Set the number of threads of processes that are started in the block: torch reads it when it is imported.

    Idle threads sleep: spinning ones of several processes slow one another down.
    """
    wanted = {} if count is None else {THREADS: str(count), "OMP_WAIT_POLICY": "passive"}
    set_here = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(set_here)
    try:
        yield
    finally:
        for name in set_here:
            del os.environ[name]


def _in_job(work: Work, number: int, local: bool, arguments: tuple[object, ...]) -> dict[str, Any]:
    """The work in the job's process; a user's mistake is reported, and not retried, unless storage may be mended."""
    if local:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(number % gpus()) if gpus() else ""
    keep_memory()
    start = time.perf_counter()
    where: dict[str, Any] = {"host": socket.gethostname()}
    try:
        where |= work(number, *arguments)
    except SelcnError as error:
        where |= {"error": str(error), "final": not isinstance(error, StorageError)}
    return {**where, "seconds": round(time.perf_counter() - start, 1)}


def gpus() -> int:
    """Number of GPUs of this machine, without torch, which would keep a context on them."""
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def _number(value: str) -> str | int:
    return int(value) if value.isdecimal() else value


def _reason(text: str) -> str:
    """The last line of a job's traceback; submitit appends the job's logs."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("-", "You can check"))]
    return lines[-1][:200] if lines else "no reason given"
