"""A store being built: in parallel, in bounded memory, resumable.

It grows in a hidden folder beside its final name. A journal tells which rows are prepared, and of which files: an entry
is written after its pixels are on disk, and never before, so that it may be trusted whenever the work was cut off.
"""

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from selcn.config.sections import Hair
from selcn.data.catalog import catalog_hash
from selcn.data.imaging.address import file_states
from selcn.data.imaging.prepare import prepare_image, prepare_mask
from selcn.data.imaging.read import read_image, read_mask
from selcn.data.store.store import IMAGES, MASKS, Store, open_store, seal_store
from selcn.errors import DataError, SelcnError, StorageError, listed
from selcn.io.files import written_whole
from selcn.io.resume import SHARDS, OnProgress, working_folder
from selcn.io.tables import lines
from selcn.io.threads import thread_count

CHUNK = 128
"""Rows that are mapped and flushed together: what a kill may cost, and what bounds the memory."""
BLOCK = 2**20
"""Bytes that are written at once where the system cannot allocate a file."""
JOURNAL, ARRAYS = "journal.npy", "arrays"
Share = Callable[[Path, str], tuple[list[Path], list[str]]]


def build_store(
    table: pd.DataFrame,
    out: Path,
    *,
    size: tuple[int, int] = (256, 192),
    hair: Hair = True,
    jobs: int | None = None,
    share: Share | None = None,
    on_progress: OnProgress | None = None,
) -> Store:
    """Decode every image and mask once, in parallel, and keep them at ``size`` (width, height).

    What was prepared before a kill is not prepared again, unless its files changed. Every faulty file is found before
    anything is given up, and the others stay prepared.

    Args:
        table: a validated catalog.
        out: the folder to make.
        size: width and height in pixels.
        hair: whether hair is removed first.
        jobs: threads, all cores by default.
        share: prepares the rows in other processes instead, given a folder and the plan as text; it returns the folders
            that `fill_arrays` filled, in order, and what could not be prepared.
        on_progress: called with images prepared and images in all.

    Raises:
        DataError: ``out`` exists or is being built by another process, or files are missing, unreadable or of another
            shape than their image.
    """
    if out.exists():
        raise DataError(f"{out}: exists already; remove it or choose another --out")
    plan = _plan(table, size, hair)
    with working_folder(out, plan) as work:
        if share:
            filled, faults = share(work / SHARDS, plan)
        else:
            filled, faults = [], fill_arrays(table, work, size=size, hair=hair, jobs=jobs, on_progress=on_progress)
        if faults:
            raise DataError(
                f"{len(faults)} images cannot be prepared: {listed(faults)}; mend them or drop them with `selcn audit "
                f"--fix`, and start again: the other {len(table) - len(faults)} stay prepared"
            )
        if share:
            _join(filled, work, len(table), size)
        seal_store(work / ARRAYS, table, size, hair=hair)
        (work / ARRAYS).rename(out)
    return open_store(out, table)


def _plan(table: pd.DataFrame, size: tuple[int, int], hair: Hair) -> str:
    order = hashlib.sha256("\n".join(table["image_id"]).encode()).hexdigest()
    return json.dumps({"size": size, "hair": hair, "catalog": catalog_hash(table), "order": order})


def fill_arrays(
    table: pd.DataFrame,
    work: Path,
    *,
    size: tuple[int, int],
    hair: Hair,
    jobs: int | None = None,
    on_progress: OnProgress | None = None,
) -> list[str]:
    """Prepare every row of a catalog that a folder does not hold yet, and return what is wrong with the others' files.

    Args:
        table: a validated catalog, or rows of one.
        work: the folder, empty or with what an earlier attempt left.
        size: width and height in pixels.
        hair: whether hair is removed first.
        jobs: threads, all cores by default.
        on_progress: called with images prepared and images in all.
    """
    if not (work / JOURNAL).exists():
        _lay_out(work, len(table), size)
    return _fill(table, work, size, hair, jobs, on_progress)


def is_filled(table: pd.DataFrame, work: Path) -> bool:
    """Whether a folder holds every row of a catalog, of files as they are now.

    Args:
        table: as `fill_arrays` was given it.
        work: the folder that it filled.
    """
    wanted = _states(table)
    return bool(((np.load(work / JOURNAL) == wanted) & (wanted != 0)).all())


def _join(filled: list[Path], work: Path, rows: int, size: tuple[int, int]) -> None:
    """Copy the arrays of some folders behind one another into those of the whole."""
    _lay_out(work, rows, size)
    for name in (IMAGES, MASKS):
        start = 0
        for folder in filled:
            part = np.load(folder / ARRAYS / name, mmap_mode="r")
            for row in range(0, len(part), CHUNK):
                some = part[row : row + CHUNK]
                mapped = _mapped(work / ARRAYS / name, start + row, len(some))
                mapped[:] = some
                mapped.flush()
            start += len(part)


def _lay_out(work: Path, rows: int, size: tuple[int, int]) -> None:
    """Empty arrays, and last an empty journal."""
    (work / ARRAYS).mkdir(exist_ok=True)
    width, height = size
    for name, shape in ((IMAGES, (rows, height, width, 3)), (MASKS, (rows, height, width))):
        open_memmap(work / ARRAYS / name, "w+", np.uint8, shape)
        _allocate(work / ARRAYS / name)
    with written_whole(work / JOURNAL) as partial:
        np.save(partial, np.zeros(rows, np.int64))


def _allocate(path: Path) -> None:
    # A disk that is full says so here; on a page of a sparse map it would kill the process.
    size = path.stat().st_size
    with path.open("r+b") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
            return
        for start in range(0, size, BLOCK):  # Windows and macOS: what is written over itself has its place on the disk
            file.seek(start)
            block = file.read(BLOCK)
            file.seek(start)
            file.write(block)


def _fill(
    table: pd.DataFrame, work: Path, size: tuple[int, int], hair: Hair, jobs: int | None, on_progress: OnProgress | None
) -> list[str]:
    """Prepare every row that the journal does not know, chunk by chunk, and return what could not be."""
    journal = open_memmap(work / JOURNAL, "r+")
    wanted = _states(table)
    todo = np.flatnonzero((journal != wanted) | (wanted == 0))
    done, line, faults = len(table) - len(todo), lines(table), list[str]()
    pool = ThreadPoolExecutor(jobs or thread_count())
    try:
        for rows in np.split(todo, np.flatnonzero(np.diff(todo // CHUNK)) + 1):
            if not len(rows):
                continue
            chunk = _Chunk(work / ARRAYS, int(rows[0]) // CHUNK * CHUNK, len(table), size, hair)
            prepared = np.zeros(len(rows), dtype=bool)
            for nth, fault in enumerate(pool.map(partial(chunk.prepare, table), rows)):
                prepared[nth], done = fault is None, done + 1
                faults += [] if fault is None else [f"line {line[rows[nth]]}: {fault}"]
                if on_progress:
                    on_progress(done, len(table))
            chunk.flush()
            journal[rows[prepared]] = wanted[rows[prepared]]
            journal.flush()
    finally:
        pool.shutdown(cancel_futures=True)
    return faults


class _Chunk:
    """Some rows of the arrays, mapped; a map of the whole would count to the process's memory as it fills."""

    def __init__(self, folder: Path, start: int, rows: int, size: tuple[int, int], hair: Hair) -> None:
        self.start, self.size, self.hair = start, size, hair
        count = min(CHUNK, rows - start)
        self.images, self.masks = (_mapped(folder / name, start, count) for name in (IMAGES, MASKS))

    def prepare(self, table: pd.DataFrame, row: int) -> str | None:
        """Fill one row, and return what is wrong with its files."""
        try:
            image = read_image(Path(table["image_path"].iloc[row]))
            mask_path = table["mask_path"].iloc[row]
            mask = prepare_mask(read_mask(Path(mask_path), image.shape[1::-1]), self.size) if mask_path else False
            self.images[row - self.start] = prepare_image(image, self.size, hair=self.hair)
            self.masks[row - self.start] = mask
        except StorageError:
            raise
        except SelcnError as error:
            return str(error)
        return None

    def flush(self) -> None:
        """Have the pixels on disk."""
        self.images.flush()
        self.masks.flush()


def _mapped(path: Path, start: int, count: int) -> np.memmap:
    whole = np.load(path, mmap_mode="r")
    offset = whole.offset + start * whole.strides[0]
    return np.memmap(path, np.uint8, "r+", offset, (count, *whole.shape[1:]))


def _states(table: pd.DataFrame) -> np.ndarray:
    """For each row a number, never 0, that changes when one of its files does; 0 where one is missing."""
    images, masks = ([*table[column]] for column in ("image_path", "mask_path"))
    states = iter(file_states([path for row in zip(images, masks, strict=True) for path in row if path]))
    return np.array([_number([next(states) for path in row if path]) for row in zip(images, masks, strict=True)])


def _number(states: list[tuple[int, int | str] | None]) -> int:
    if None in states:
        return 0
    return int.from_bytes(hashlib.sha256(repr(states).encode()).digest()[:7], "big") + 1
