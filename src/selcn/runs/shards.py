"""Work on many images in shards, which jobs share: cut in order, each done once, in a folder of its own."""

import json
import logging
import pickle
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from filelock import FileLock, Timeout

from selcn.io.files import write_text, written_whole
from selcn.io.resume import OnProgress
from selcn.runs.jobs import Cluster, Jobs

MIN_IMAGES, MAX_IMAGES = 64, 1024
"""Images of a shard: enough to be worth claiming, few enough that jobs end at about the same time."""
SHARDS_PER_JOB = 4
"""Wanted, so that a slow job holds up no others."""
WAIT = 2.0
"""Seconds before a job ends that found every shard claimed: those of a command that was killed may still work."""
NOTE, JOBS = "shards.json", "jobs"
logger = logging.getLogger(__name__)


Inputs = Sequence[Any] | pd.DataFrame
Do = Callable[[Any, Path], None]
"""Writes the result of a shard, given its slice of the inputs, to a folder with what an earlier attempt left there."""
Whole = Callable[[Any, Path], bool]


class Work(Protocol):
    """What jobs do; pickled for each of them."""

    def open(self) -> Do:
        """Load, once a job, what every shard needs, such as networks."""


def do_in_jobs(
    cluster: Cluster,
    folder: Path,
    plan: str,
    inputs: Inputs,
    work: Work,
    *,
    unit: int = 1,
    batch: int = 1,
    whole: Whole | None = None,
    on_progress: OnProgress | None = None,
) -> list[Path]:
    """Share inputs out as jobs; resumable, after the death of a job or of this process.

    Jobs take shards that no other job is doing until none are left; one that dies gives up its claim.

    Args:
        cluster: where jobs run.
        folder: for the shards; the caller sees to it that one process uses it, and removes it in the end.
        plan: all that the result depends on; what shards of another plan left is thrown away.
        inputs: a sequence whose slices can be pickled, or a data frame.
        work: what is done of them.
        unit: images of one input.
        batch: inputs that one process takes as a batch: shards are of whole batches, so that results are the same.
        whole: whether a shard that finished earlier, of some inputs and in a folder, still holds; None for always.
        on_progress: called with inputs done and inputs in all.

    Returns:
        The folders of all shards, in order.

    Raises:
        RunError: a job failed for good.
        ConfigError: the executor cannot be used.
    """
    folder = folder.resolve()
    size = _size(cluster, folder, plan, len(inputs), unit, batch)
    slices = [_slice(inputs, start, start + size) for start in range(0, len(inputs), size)]
    shards = [folder / f"{number:06}" for number in range(len(slices))]
    for shard, some in zip(shards, slices, strict=True):
        if shard.exists() and whole is not None and not whole(some, shard):
            shard.rename(_unfinished(shard))
        if not shard.exists():
            with written_whole(_inputs(shard)) as partial:
                partial.write_bytes(pickle.dumps(some))
    progress = _Progress(folder, [len(some) for some in slices], on_progress)
    Jobs(cluster, folder / JOBS, progress.ready, progress.done).run(do_shards, [str(shard) for shard in shards], work)
    logger.info("%d shards were done by jobs", len(shards))
    return shards


def do_shards(_number: int, shards: Sequence[str], work: Work) -> dict[str, Any]:
    """In a job: do shards that no other job works on, as long as there are any.

    Args:
        _number: of this job; not used.
        shards: folders of all shards.
        work: what is done of their inputs.

    Returns:
        ``shards``, how many this job did.

    Raises:
        SelcnError: a shard failed by a user's mistake.
    """
    do: Do | None = None
    done = 0
    for shard in map(Path, shards):
        if not _to_do(shard):
            continue
        with suppress(Timeout), FileLock(shard.with_suffix(".lock"), timeout=0):
            if _to_do(shard):
                do = do or work.open()
                _unfinished(shard).mkdir(exist_ok=True)
                do(pickle.loads(_inputs(shard).read_bytes()), _unfinished(shard))
                _unfinished(shard).rename(shard)
                done += 1
    if not done:
        time.sleep(WAIT)
    return {"shards": done}


def _size(cluster: Cluster, folder: Path, plan: str, count: int, unit: int, batch: int) -> int:
    """Inputs of a shard; as recorded, where an earlier attempt at the same plan has begun."""
    note = folder / NOTE
    recorded = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    if recorded.get("plan") == plan:
        return int(recorded["size"])
    shutil.rmtree(folder, ignore_errors=True)
    wanted = -(-count * unit // (SHARDS_PER_JOB * min(cluster.most, count)))
    images = min(max(wanted, MIN_IMAGES), MAX_IMAGES)
    size = -(-images // (unit * batch)) * batch
    write_text(note, json.dumps({"plan": plan, "size": size}))
    return size


def _slice(inputs: Inputs, start: int, end: int) -> Inputs:
    return inputs.iloc[start:end] if isinstance(inputs, pd.DataFrame) else inputs[start:end]


def _to_do(shard: Path) -> bool:
    """Whether a shard is there and not finished; once all are joined they are removed, also under a job left behind."""
    return _inputs(shard).exists() and not shard.exists()


def _unfinished(shard: Path) -> Path:
    return shard.with_suffix(".part")


def _inputs(shard: Path) -> Path:
    return shard.with_suffix(".inputs")


class _Progress:
    """Counts finished shards.

    Args:
        folder: of the shards.
        sizes: inputs of each.
        on_progress: called with inputs done and inputs in all.
    """

    def __init__(self, folder: Path, sizes: Sequence[int], on_progress: OnProgress | None) -> None:
        self.folder, self.sizes, self.on_progress = folder, sizes, on_progress
        self.ready()

    def ready(self) -> int:
        """Number of shards that can be in progress."""
        return len(self.sizes) - self.done()

    def done(self) -> int:
        """Number of finished shards."""
        known = {path.name for path in self.folder.iterdir() if path.name.isdecimal()}
        if self.on_progress:
            self.on_progress(sum(self.sizes[int(name)] for name in known), sum(self.sizes))
        return len(known)
