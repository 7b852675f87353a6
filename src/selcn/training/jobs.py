"""Independent steps handed out as jobs, through submitit: processes of this machine, or a SLURM cluster."""

import os
import socket
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import submitit

from selcn.errors import ConfigError, RunError, SelcnError, listed
from selcn.files import write_text

LOOK = {"local": 0.1, "debug": 0.0, "slurm": 2.0}
"""Seconds between two looks at the jobs of an executor."""
TABLE = "jobs.csv"
THREADS = "OMP_NUM_THREADS"
Work = Callable[..., dict[str, Any] | None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Cluster:
    """Where jobs run.

    Attributes:
        executor: `local`, `slurm`, or `debug` for this process.
        jobs: how many at once; None for one a GPU (or one) of this machine, and for all that are ready on SLURM.
        retries: how often a job is tried again that was killed or failed for another reason than a user's mistake.
        hours: time limit of a job.
        slurm: further parameters of SLURM by name, such as partition, gpus_per_node, cpus_per_task, mem_gb.
    """

    executor: str = "local"
    jobs: int | None = None
    retries: int = 2
    hours: float = 24.0
    slurm: Mapping[str, str] = field(default_factory=dict)

    def start(self, logs: Path) -> submitit.Executor:
        """The executor, which writes its jobs' logs to a folder.

        Raises:
            ConfigError: there is no SLURM here, or it has no such parameter.
        """
        try:
            executor = submitit.AutoExecutor(logs, cluster=self.executor)
            special = {f"slurm_{name}" if name not in _GENERAL else name: value for name, value in self.slurm.items()}
            executor.update_parameters(timeout_min=round(self.hours * 60), name="selcn", **special)
        except (RuntimeError, NameError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:150]
            raise ConfigError(f"--executor {self.executor}: cannot be used ({reason}); use local") from None
        return executor

    def slots(self) -> int:
        """How many jobs may run at once."""
        if self.jobs is not None:
            return self.jobs
        return 10**6 if self.executor == "slurm" else max(_gpus(), 1)


_GENERAL = ("gpus_per_node", "cpus_per_task", "mem_gb", "nodes", "tasks_per_node")


@dataclass
class _Running:
    name: str
    attempt: int
    slot: int
    job: submitit.Job[dict[str, Any]]


class Jobs:
    """Runs named pieces of work as jobs, each when what it needs has finished.

    Args:
        cluster: where.
        folder: for the table of what ran where, and the jobs' logs.
        say: told of each job that ends.
    """

    def __init__(self, cluster: Cluster, folder: Path, say: Say) -> None:
        self.cluster, self.folder, self.say = cluster, folder, say
        self.executor = cluster.start(folder / "logs")
        self.rows: list[dict[Hashable, Any]] = []
        path = folder / TABLE
        if path.exists():
            self.rows = pd.read_csv(path, keep_default_na=False).to_dict("records")

    def run(self, needs: Mapping[str, tuple[str, ...]], work: Work, *arguments: object) -> None:
        """Run ``work(name, *arguments)`` for each name.

        Args:
            needs: names that must have finished before, by name; names that are not among the keys have finished.
            work: a function of a module; what it returns enters the table.
            arguments: pickled for each job.

        Raises:
            RunError: jobs failed for good; all are named, what does not need them has been done.
        """
        waiting, running, failed = dict(needs), dict[str, _Running](), dict[str, str]()
        with self._cancelled(running):
            while True:
                unfinished = waiting.keys() | running.keys() | failed.keys()
                ready = [name for name, needed in waiting.items() if not unfinished.intersection(needed)]
                for name, slot in zip(ready, self._free(running, len(needs)), strict=False):
                    del waiting[name]
                    running[name] = self._submit(name, 1, slot, work, arguments)
                if not running:  # all is done, or waits for what failed
                    break
                for one in self._finished(running):
                    del running[one.name]
                    fault, final = self._ended(one)
                    if fault and not final and one.attempt <= self.cluster.retries:
                        running[one.name] = self._submit(one.name, one.attempt + 1, one.slot, work, arguments)
                    elif fault:
                        failed[one.name] = fault
        if failed:
            faults = [f"{name}: {fault}" for name, fault in failed.items()]
            raise RunError(f"{len(failed)} jobs failed: {listed(faults)}; mend the cause and start again")

    def _free(self, running: Mapping[str, _Running], most: int) -> list[int]:
        """Numbers of the slots in which no job runs."""
        taken = {one.slot for one in running.values()}
        return [slot for slot in range(min(self.cluster.slots(), most)) if slot not in taken]

    def _finished(self, running: Mapping[str, _Running]) -> list[_Running]:
        """Jobs that have ended; waits until there are any."""
        while not (ended := [one for one in running.values() if one.job.done()]):
            time.sleep(LOOK[self.cluster.executor])
        return ended

    def _submit(self, name: str, attempt: int, slot: int, work: Work, arguments: tuple[object, ...]) -> _Running:
        local = self.cluster.executor == "local"
        with _threads(max((os.cpu_count() or 1) // self.cluster.slots(), 1) if local else None):
            job = self.executor.submit(_in_job, work, name, slot if local else None, arguments)
        return _Running(name, attempt, slot, job)

    def _ended(self, one: _Running) -> tuple[str, bool]:
        """Why a job failed, or "", and whether trying again would not help."""
        row: dict[Hashable, Any] = {"job": one.name, "attempt": one.attempt, "id": one.job.job_id}
        try:
            result = one.job.result()
        except Exception as error:  # whatever a job or its cluster may end with
            result = {"error": f"{_last_line(str(error))} (log: {one.job.paths.stderr})", "final": False}
        fault, final = str(result.pop("error", "")), bool(result.pop("final", True))
        state = "failed" if fault else "done"
        self.rows.append({**row, "state": state, "host": result.pop("host", ""), "seconds": result.pop("seconds", "")})
        write_text(self.folder / TABLE, pd.DataFrame(self.rows).to_csv(index=False))
        again = "; trying again" if fault and not final and one.attempt <= self.cluster.retries else ""
        note = "".join(f", {key} {value}" for key, value in result.items())
        self.say(f"{'✗' if fault else '✓'} {one.name} ({self.rows[-1]['seconds']} s{note}) {fault}{again}".rstrip())
        return fault, final

    @contextmanager
    def _cancelled(self, running: Mapping[str, _Running]) -> Iterator[None]:
        """Take back what runs when this process is stopped."""
        try:
            yield
        except BaseException:
            for one in running.values():
                one.job.cancel(check=False)
            raise


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Hand a number of threads on to processes that are started now: torch reads it when it is imported."""
    before = os.environ.get(THREADS)
    if count is not None and before is None:
        os.environ[THREADS] = str(count)
    try:
        yield
    finally:
        if count is not None and before is None:
            del os.environ[THREADS]


def _in_job(work: Work, name: str, slot: int | None, arguments: tuple[object, ...]) -> dict[str, Any]:
    """What runs in the job: a user's mistake is told, and not tried again."""
    gpus = _gpus()
    if slot is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(slot % gpus) if gpus else ""
    start = time.perf_counter()
    where: dict[str, Any] = {"host": socket.gethostname()}
    try:
        where |= work(name, *arguments) or {}
    except SelcnError as error:
        where |= {"error": str(error), "final": True}
    return {**where, "seconds": round(time.perf_counter() - start, 1)}


def _gpus() -> int:
    """GPUs of this machine, without asking torch, which would hold on to them."""
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no reason given"
