"""Execution of a run's steps: a finished step is not repeated, an unfinished one is done again or resumed.

A step works in `RUN/.work/STEP` and is renamed to `RUN/STEP` when its manifest has been written, so that a folder under
its final name is always complete. A killed training resumes from its work folder.
"""

import json
import logging
import platform
import shutil
import socket
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from selcn.config import RunConfig, changed_config, dump_config, load_config
from selcn.errors import RunError
from selcn.io.files import write_text
from selcn.io.progress import OnProgress, ShowProgress, show_nothing
from selcn.runs.folder import MANIFEST, RunFolder
from selcn.runs.plan import Kind, Step
from selcn.training.compute import machine, rank

WAIT = 0.2
"""Seconds between two checks whether another process has finished a step."""
AFTER_TRAINING = frozenset({"resamples", "target", "evaluation.deviation", "evaluation.ties"})
"""Keys of a configuration that no step before the evaluation reads."""
Action = Callable[[Path, OnProgress], dict[str, Any] | None]
"""Writes a step's result to a folder; returns what is added to the manifest, or None."""
logger = logging.getLogger(__name__)


class Executor:
    """Executes the steps of one run.

    Args:
        folder: of the run; created where it does not exist.
        config: of the run; a folder in which a step of another configuration has finished is refused, unless only keys
            of `AFTER_TRAINING` differ, or one of the two has networks that the other lacks: its evaluation and bundle
            are then removed, to be made anew.
        show: shows the progress of a step.
        worker: whether this process does single steps for another, which holds the folder's lock.

    Attributes:
        config: of the run, with the networks that its folder has besides.

    Raises:
        RunError: the folder belongs to another configuration, or another process works in it.
    """

    def __init__(
        self, folder: RunFolder, config: RunConfig, show: ShowProgress = show_nothing, *, worker: bool = False
    ) -> None:
        self.folder, self.show, self.config = folder, show, config
        self.told: set[Step] = set()
        self.follows = rank() > 0
        self.lock: FileLock | None = None
        if worker or self.follows:
            return
        self.lock = _locked(folder)
        if folder.config.exists() and any(folder.path.rglob(MANIFEST)):
            self.config = _accept(folder, config)
        else:
            shutil.rmtree(folder.work, ignore_errors=True)
            write_text(folder.config, dump_config(config))
        if not folder.environment.exists():
            write_text(folder.environment, json.dumps(_environment(), indent=1))

    def do(self, step: Step, action: Action) -> Path:
        """Do a step unless it has finished, and return its folder.

        Args:
            step: of the run.
            action: writes the step's result to the folder it is given; what it returns is added to the manifest.
        """
        final = self.folder.step(step)
        if self.folder.finished(step):
            if step not in self.told:
                logger.info("✓ %s finished earlier", step)
            self.told.add(step)
            return final
        work = self.folder.work / step.path
        if self.follows:
            return self._follow(step, action, work)
        if not step.resumable:
            shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        with self.show(step.path) as on_progress:
            result = action(work, on_progress) or {}
        seconds = round(time.perf_counter() - start, 2)
        where = {"host": socket.gethostname(), "machine": machine(), "torch": version("torch")}
        manifest = {**result, "seconds": seconds, **where}
        (work / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(final, ignore_errors=True)
        work.replace(final)
        self.told.add(step)
        notes = [
            f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in result.items()
        ]
        logger.info("✓ %s (%s)", step, ", ".join((f"{seconds:.1f} s", *notes)))
        return final

    def tidy(self) -> None:
        """Remove work folders, after every step has finished."""
        if not self.follows:
            shutil.rmtree(self.folder.work, ignore_errors=True)

    def _follow(self, step: Step, action: Action, work: Path) -> Path:
        """As a process of rank above 0: take part in a distributed step, and wait for any other."""
        if step.distributed:
            with show_nothing(step.path) as on_progress:
                action(work, on_progress)
        while not self.folder.finished(step):
            time.sleep(WAIT)
        return self.folder.step(step)


def _locked(folder: RunFolder) -> FileLock:
    """The folder's lock, which the system releases when the process ends, however it ends."""
    folder.path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"{folder.path}: another process works in it; wait for it or choose another --out") from None
    return lock


def _accept(folder: RunFolder, config: RunConfig) -> RunConfig:
    """Accept the configuration of a folder's run, one by which only evaluation and bundle have to be made anew, or one
    that differs in networks that only one of the two has; return it with the networks of both.
    """
    recorded = load_config(folder.config)
    order = list(dict.fromkeys([*recorded.networks, *config.networks]))
    config = _joined(config, recorded, order)
    old, new = (one.model_dump(mode="json") for one in (_joined(recorded, config, order), config))
    changed = sorted(changed_keys(old, new))
    if not AFTER_TRAINING.issuperset(changed):
        raise RunError(
            f"{folder.path}: holds a run of another configuration ({', '.join(changed[:4])} differ); "
            + (_more_epochs(folder, changed) or "choose another --out or remove it")
        )
    added = [name for name in config.graph.nodes if name not in recorded.graph.nodes]
    if changed or added:
        logger.info("%s changed: evaluation, bundle and report are made anew", ", ".join([*changed, *added]))
        steps = [Step(kind) for kind in (Kind.BUNDLE, Kind.EVALUATION, *([Kind.PREDICTIONS] if added else []))]
        # Outputs of a network that nothing read lack what a network that was added reads.
        steps += [
            Step(Kind.OUTPUTS, name)
            for name in recorded.graph.nodes
            if config.graph.is_read(name) and not recorded.graph.is_read(name)
        ]
        for step in steps:  # the configuration last: a kill between them is made good next time
            shutil.rmtree(folder.step(step), ignore_errors=True)
        write_text(folder.config, dump_config(config))
    return config


def _joined(config: RunConfig, other: RunConfig, order: list[str]) -> RunConfig:
    """A configuration with the networks that only another one has, and their twins."""
    missing = [name for name in other.networks if name not in config.networks]
    if not missing:
        return config
    networks = {**other.networks, **config.networks}
    compare = {**{name: other.compare[name] for name in missing if name in other.compare}, **config.compare}
    return changed_config(
        config, networks={name: networks[name] for name in order}, compare=compare, target=config.graph.target
    )


def _more_epochs(folder: RunFolder, changed: list[str]) -> str:
    """How to go on from the networks of a run, where nothing but epochs differs."""
    trained = [key.split(".") for key in changed if key not in AFTER_TRAINING]
    if not all(key[0] == "networks" and key[-1] == "epochs" for key in trained):
        return ""
    name = trained[0][1]
    return f"to go on from its networks choose another --out and --set {name}.init={folder.path / Kind.TRAIN / name}"


def _environment() -> dict[str, str]:
    libraries = {name: version(name) for name in ("selcn", "torch", "torchvision", "timm", "lightning")}
    return {**libraries, "python": platform.python_version(), "system": platform.platform(), "machine": machine()}


def changed_keys(old: Any, new: Any, key: str = "") -> list[str]:  # noqa: ANN401 - any JSON value
    """Dotted names of the settings in which two configurations differ.

    Args:
        old: one configuration, as a JSON value.
        new: the other, as a JSON value.
        key: dotted name of both values; "" for whole configurations.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        keys = old.keys() | new.keys()
        return [name for k in keys for name in changed_keys(old.get(k), new.get(k), f"{key}.{k}".lstrip("."))]
    return [] if old == new else [key]
