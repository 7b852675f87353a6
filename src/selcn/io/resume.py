"""Resumable work on many images, in parts: after a kill, finished parts are found and not repeated."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from selcn.errors import DataError
from selcn.io.files import write_text, written_whole

PLAN = "plan.json"
OnProgress = Callable[[int, int], None]


def work_in_parts(
    out: Path,
    plan: Mapping[str, Any],
    parts: int,
    do: Callable[[int, Path], None],
    seal: Callable[[list[Path], Path], None],
    on_progress: OnProgress | None = None,
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

    Raises:
        DataError: ``out`` holds something else, or another process is making it.
    """
    text = json.dumps(plan, indent=1, ensure_ascii=False)
    if out.exists():
        _refuse_other(out, text)
        return
    with working_folder(out, text) as work:
        folders = [work / f"{number:06}" for number in range(parts)]
        for number, folder in enumerate(folders):
            if not folder.exists():
                with written_whole(folder) as partial:
                    partial.mkdir()
                    do(number, partial)
            if on_progress:
                on_progress(number + 1, parts)
        with written_whole(out) as partial:
            partial.mkdir()
            seal(folders, partial)
            write_text(partial / PLAN, text)


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
    with _alone(work, out):
        if not (work / PLAN).is_file() or (work / PLAN).read_text(encoding="utf-8") != plan:
            shutil.rmtree(work, ignore_errors=True)
            write_text(work / PLAN, plan)
        yield work
        shutil.rmtree(work)


@contextmanager
def _alone(work: Path, out: Path) -> Iterator[None]:
    """Hold the lock on ``work``, the folder of the unfinished parts of ``out``, while the block runs."""
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(work.with_name(f"{work.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise DataError(f"{out}: another process is making it; wait for it, or choose another --out") from None
    try:
        yield
    finally:
        lock.release()
        if not work.exists():
            Path(lock.lock_file).unlink(missing_ok=True)


def _refuse_other(out: Path, plan: str) -> None:
    recorded = out / PLAN
    if not recorded.is_file() or recorded.read_text(encoding="utf-8") != plan:
        raise DataError(f"{out}: exists already and holds something else; remove it or choose another --out")
