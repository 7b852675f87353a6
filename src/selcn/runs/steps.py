"""A run as named steps, each a folder: one that finished is not repeated, one that did not is.

A step works in `RUN/.work/STEP` and is renamed to `RUN/STEP` when its manifest has been written, so that a folder under
its final name is always whole. What a killed training left in its work folder is found there again and gone on with.
"""

import json
import platform
import shutil
import socket
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from selcn.config import RunConfig, dump_config, load_config
from selcn.errors import RunError
from selcn.io.files import write_text
from selcn.training.compute import rank

MANIFEST = "step.json"
ENVIRONMENT = "environment.json"
WORK = ".work"
LOCK = ".lock"
WAIT = 0.2
"""Seconds between two looks at whether another process has finished a step."""


class Report(Protocol):
    """How a step tells how far it is."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Say that ``done`` of ``total`` units are done, with a note such as a score."""


Action = Callable[[Path, Report], dict[str, Any] | None]
"""Fills the folder it is given; what it returns enters the manifest."""


class Steps:
    """The steps of one run folder.

    Args:
        run: the folder; made where it does not exist.
        config: what is run; a folder in which a step of another configuration has finished is refused.
        console: where progress is shown.
        worker: whether this process does single steps for another, which holds the folder.

    Raises:
        RunError: the folder belongs to another configuration, or another process works in it.
    """

    def __init__(self, run: Path, config: RunConfig, console: Console, *, worker: bool = False) -> None:
        self.run, self.console = run, console
        self.said: set[str] = set()
        self.follows = rank() > 0
        if worker or self.follows:
            return
        self.lock = self._locked()
        recorded = run / "config.yaml"
        if recorded.exists() and any(run.rglob(MANIFEST)):
            self._refuse_other(config, recorded)
        else:
            shutil.rmtree(run / WORK, ignore_errors=True)
            write_text(recorded, dump_config(config))
        if not (run / ENVIRONMENT).exists():
            write_text(run / ENVIRONMENT, json.dumps(_environment(), indent=1))

    def do(self, name: str, action: Action, *, resumable: bool = False) -> Path:
        """Run a step unless it has finished, and return its folder.

        Args:
            name: of the step and of its folder; may hold slashes.
            action: fills the folder it is given; what it returns enters the manifest.
            resumable: whether the action can go on with what a killed one left in its folder.
        """
        final = self.run / name
        if self.finished(name):
            if name not in self.said:
                self.console.print(f"[dim]✓ {name} finished earlier[/dim]")
            self.said.add(name)
            return final
        work = self.run / WORK / name
        if self.follows:
            return self._follow(name, action, work, together=resumable)
        if not resumable:
            shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        result = self._shown(name, action, work) or {}
        seconds = round(time.perf_counter() - start, 2)
        manifest = {**result, "seconds": seconds, "host": socket.gethostname()}
        (work / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(final, ignore_errors=True)
        work.rename(final)
        self.said.add(name)
        note = "".join(
            f", {key} {value:.3g}" if isinstance(value, float) else f", {key} {value}" for key, value in result.items()
        )
        self.console.print(f"[green]✓[/green] {name} [dim]({seconds:.1f} s{note})[/dim]")
        return final

    def finished(self, name: str) -> bool:
        """Whether a step has finished."""
        return (self.run / name / MANIFEST).exists()

    def tidy(self) -> None:
        """Remove what is left of work folders, when every step has finished."""
        if not self.follows:
            shutil.rmtree(self.run / WORK, ignore_errors=True)

    def _locked(self) -> FileLock:
        """The folder's lock, which the system gives up when the process ends, however it ends."""
        self.run.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.run / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(f"{self.run}: another process works in it; wait for it or choose another --out") from None
        return lock

    def _follow(self, name: str, action: Action, work: Path, *, together: bool) -> Path:
        """As one of several processes of a training: take part in it, and wait for what the first does alone."""
        if together:
            action(work, lambda _done, _total, _note="": None)
        while not self.finished(name):
            time.sleep(WAIT)
        return self.run / name

    def _shown(self, name: str, action: Action, work: Path) -> dict[str, Any] | None:
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} {task.fields[note]}"),
        )
        quiet = not self.console.is_terminal
        with Progress(*columns, TimeElapsedColumn(), console=self.console, transient=True, disable=quiet) as progress:
            task = progress.add_task(name, total=None, note="")

            def report(done: int, total: int, note: str = "") -> None:
                progress.update(task, completed=done, total=total, note=note)

            return action(work, report)

    def _refuse_other(self, config: RunConfig, recorded: Path) -> None:
        old, new = load_config(recorded).model_dump(mode="json"), config.model_dump(mode="json")
        changed = sorted(changed_keys(old, new))
        if changed:
            keys = ", ".join(changed[:4])
            raise RunError(
                f"{self.run}: holds a run of another configuration ({keys} differ); choose another --out or remove it"
            )


def read_manifest(step: Path) -> dict[str, Any]:
    """What a finished step returned, and the seconds it took."""
    manifest: dict[str, Any] = json.loads((step / MANIFEST).read_text(encoding="utf-8"))
    return manifest


def _environment() -> dict[str, str]:
    libraries = {name: version(name) for name in ("selcn", "torch", "torchvision", "timm", "lightning")}
    return {**libraries, "python": platform.python_version(), "system": platform.platform()}


def changed_keys(old: Any, new: Any, key: str = "") -> list[str]:  # noqa: ANN401 - any JSON value
    """Dotted names of the settings in which two configurations differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = old.keys() | new.keys()
        return [name for k in keys for name in changed_keys(old.get(k), new.get(k), f"{key}.{k}".lstrip("."))]
    return [] if old == new else [key]
