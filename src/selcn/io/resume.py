"""Resumable work on many images: after a kill, what is finished is found and not repeated; a folder is of one job."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from selcn.errors import DataError
from selcn.io import storage
from selcn.io.files import remove_folder, write_text, written_whole

PLAN = "plan.json"
SHARDS = ".shards"
"""Folder of what jobs do, in the folder of a work."""
OnProgress = Callable[[int, int], None]
_JOB_START = '{"command": '
logger = logging.getLogger(__name__)


def work_in_parts(
    out: Path,
    plan: Mapping[str, Any],
    parts: int,
    do: Callable[[int, Path], None],
    seal: Callable[[list[Path], Path], None],
    on_progress: OnProgress | None = None,
    *,
    share: Callable[[Path, str], list[Path]] | None = None,
) -> None:
    """Do every part once, join them, and write the result to ``out`` with its ``plan.json``.

    A folder that holds the result of the same plan is left unchanged.

    Args:
        out: the folder to make.
        plan: everything that the result depends on, as JSON; unfinished parts of another plan are deleted.
        parts: how many parts there are.
        do: writes a part, given its number from 0 and an empty folder, which is renamed when it is complete.
        seal: joins the folders of all parts, in order, into another folder.
        on_progress: called with parts done and parts in all.
        share: does the parts in other processes instead, given a folder to work in and the plan as text; it returns the
            folders that ``seal`` joins.

    Raises:
        DataError: ``out`` holds something else, or another process is making it.
    """
    text = json.dumps(plan, indent=1, ensure_ascii=False)
    if out.exists():
        _refuse_other(out, text)
        return
    with working_folder(out, text) as work:
        folders = share(work / SHARDS, text) if share else _do_parts(work, parts, do, on_progress)
        with written_whole(out) as partial:
            partial.mkdir()
            seal(folders, partial)
            write_text(partial / PLAN, text)


def _do_parts(work: Path, parts: int, do: Callable[[int, Path], None], on_progress: OnProgress | None) -> list[Path]:
    folders = [work / f"{number:06}" for number in range(parts)]
    for number, folder in enumerate(folders):
        if not folder.exists():
            with written_whole(folder) as partial:
                partial.mkdir()
                do(number, partial)
        if on_progress:
            on_progress(number + 1, parts)
    return folders


@contextmanager
def working_folder(out: Path, plan: str) -> Iterator[Path]:
    """A hidden folder beside ``out`` for one process to make it in, with what an earlier attempt at the same plan left.

    It is removed when the block ends, and stays when the block fails.

    Args:
        out: what is made; the folder that holds it is made too.
        plan: all that the result depends on, as text; what was left by another plan is thrown away.

    Raises:
        DataError: another process works on it.
    """
    work = out.with_name(f".working-{out.name}")
    with _alone(work.with_name(f"{work.name}.lock"), out):
        if not (work / PLAN).is_file() or (work / PLAN).read_text(encoding="utf-8") != plan:
            shutil.rmtree(work, ignore_errors=True)
            write_text(work / PLAN, plan)
        yield work
        remove_folder(work)


@contextmanager
def folder_of_job(out: Path, plan: Mapping[str, Any]) -> Iterator[None]:
    """Keep ``out`` for one job and one process while the block runs; its ``plan.json`` says which job that is.

    What another job has left there is moved to ``out/earlier-N``, which is logged.

    Args:
        out: the folder, made where it does not exist; what an earlier attempt at the same job left stays in it.
        plan: everything that the result depends on, as JSON; its first key is `command`.

    Raises:
        DataError: another process works in ``out``, or it holds files of no such job.
    """
    text = json.dumps(plan, ensure_ascii=False)
    with _alone(out / ".lock", out):
        recorded = out / PLAN
        held = recorded.read_text(encoding="utf-8") if holds_job(out) else None
        if held is None and (foreign := next((one.name for one in out.iterdir() if one.name[0] != "."), None)):
            raise DataError(f"{out}: holds {foreign}, which is of no job of {plan['command']}; choose another --out")
        if held not in (None, text):
            _move_aside(out)
        write_text(recorded, text)
        yield


def holds_job(folder: Path) -> bool:
    """Whether a folder holds, or was to hold, the results of a job; see `folder_of_job`.

    Args:
        folder: any path.
    """
    try:
        if storage.is_remote(folder):
            return storage.read(folder / PLAN).decode().startswith(_JOB_START)
        with (folder / PLAN).open(encoding="utf-8") as file:
            return file.read(len(_JOB_START)) == _JOB_START
    except (OSError, UnicodeDecodeError):
        return False


def _move_aside(out: Path) -> None:
    names = [one.name for one in out.iterdir() if one.name[0] != "."]
    aside = out / next(name for number in range(1, len(names) + 2) if (name := f"earlier-{number}") not in names)
    aside.mkdir()
    # The plan goes last: without it, what is left after a kill would be of no job.
    for name in sorted(names, key=lambda name: name == PLAN):
        if not name.startswith("earlier-"):
            (out / name).replace(aside / name)
    logger.warning("%s: held results of other inputs, options or bundle; they are now in %s", out, aside)


@contextmanager
def _alone(lock_file: Path, out: Path) -> Iterator[None]:
    """Hold the lock on ``out`` while the block runs; it is the system's, and ends with the process."""
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise DataError(f"{out}: another process is making it; wait for it, or choose another --out") from None
    try:
        yield
    finally:
        # Before the release: later, another process could hold it. Windows does not allow that, and does it itself.
        with suppress(OSError):
            lock_file.unlink()
        lock.release()


def _refuse_other(out: Path, plan: str) -> None:
    recorded = out / PLAN
    if not recorded.is_file() or recorded.read_text(encoding="utf-8") != plan:
        raise DataError(f"{out}: exists already and holds something else; remove it or choose another --out")
