"""Files through the networks of a bundle: decoded ahead, in batches, in bounded memory, resumable."""

import hashlib
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

import selcn
from selcn.data.naming import image_name
from selcn.errors import DataError
from selcn.inference.given import NOTHING, Given, check_frames
from selcn.inference.inputs import Item, item_states
from selcn.inference.predictor import Predictor
from selcn.inference.result import prepare
from selcn.inference.row import Row
from selcn.io.files import written_whole
from selcn.io.resume import folder_of_job
from selcn.io.threads import thread_count

BATCH = 8
"""Images of a batch; a few batches are in memory at once, and an image may have twenty megapixels."""
MAX_STEM = 200
"""Bytes of a file's name without its ending; file systems take 255 with it."""
_FRAME = re.compile(r"-frame-(\d+)$")  # as `file_stem` ends names of frames, which those of whole files must not
T = TypeVar("T")


class Frame(NamedTuple):
    """A frame of a file as decoded, as prepared for the networks, its size in the file, and what is given of it."""

    picture: np.ndarray
    prepared: np.ndarray
    size: tuple[int, int]
    given: Given = NOTHING


Decoded = list[Frame] | DataError
_Done = tuple[int, Decoded, list[T]]


class GivenFiles(Protocol):
    """What files hold of one image in place of predicted results."""

    def read(self) -> Given:
        """Read them.

        Raises:
            DataError: one cannot be read.
        """


def work_through(
    predictors: Sequence[Predictor],
    items: Sequence[Item],
    path: Path,
    plan: Mapping[str, Any],
    *,
    predict: Callable[[Predictor, Sequence[Frame]], list[T]],
    describe: Callable[[int, Decoded, list[T]], list[Row]],
    seal: Callable[[Iterable[Row], Path], None],
    given: Mapping[int, GivenFiles] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Write one table of all files, in their order; resumable, with the same bytes wherever it was stopped.

    The rows of finished files are kept in a hidden file until all are finished. What has finished is done anew.

    Args:
        predictors: of one bundle, one a device.
        items: files to predict.
        path: of the table; its folder is of this work alone, see `selcn.io.resume.folder_of_job`.
        plan: what identifies the work, as JSON, beside the files with their sizes and times of change; see there.
        predict: from the frames of a batch to what a predictor says of each.
        describe: from the number of a file, its frames or its error, and their predictions, to its rows.
        seal: writes all rows to a file.
        given: what is given of files, by their number.
        on_progress: called with files done and files in all.

    Returns:
        The value of the key `error` of each row that has one.

    Raises:
        DataError: another process works in the folder, or it holds files of no such job.
    """
    whole = whole_plan(plan, items)
    with folder_of_job(path.parent, whole):
        journal = _Journal(path.with_name(f".{path.name}"), plan_digest(whole))
        done = journal.done
        if on_progress:
            on_progress(done, len(items))
        with journal:
            for number, decoded, found in _predicted(predictors, items, done, predict, given or {}):
                journal.write(describe(number, decoded, found))
                if on_progress:
                    on_progress(number + 1, len(items))
        with written_whole(path) as partial:
            seal(journal.rows(), partial)
        errors = [row["error"] for row in journal.rows() if "error" in row]
        journal.path.unlink()
        return errors


def whole_plan(plan: Mapping[str, Any], items: Sequence[Item]) -> dict[str, Any]:
    """A plan with the version of selcn and the files, as they are now.

    Args:
        plan: see `work_through`.
        items: the files.
    """
    return {**plan, "selcn": selcn.__version__, "inputs": item_states(items)}


def plan_digest(plan: Mapping[str, Any]) -> str:
    """SHA-256 of a plan, in hexadecimal.

    Args:
        plan: as JSON.
    """
    return hashlib.sha256(json.dumps(plan).encode()).hexdigest()


class _Journal:
    """The record of finished files: a line that identifies the work, then one line a file with its rows.

    Of an interrupted work whole batches are kept: in a batch of other images, the last digits may differ.
    """

    def __init__(self, path: Path, plan: str) -> None:
        self.path, self.plan = path, plan
        whole = self._whole_lines()
        kept = whole if whole and json.loads(whole[0]) == plan else [json.dumps(plan).encode() + b"\n"]
        self.done = (len(kept) - 1) // BATCH * BATCH
        path.write_bytes(b"".join(kept[: 1 + self.done]))

    def __enter__(self) -> "_Journal":
        self.file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, rows: list[Row]) -> None:
        """Record the rows of a finished file."""
        self.file.write(json.dumps(rows, ensure_ascii=False) + "\n")
        self.file.flush()

    def rows(self) -> Iterator[Row]:
        """All rows, one at a time."""
        with self.path.open(encoding="utf-8") as file:
            next(file)
            for line in file:
                yield from json.loads(line)

    def _whole_lines(self) -> list[bytes]:
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        return [line for line in lines if line.endswith(b"\n")]


def _predicted(
    predictors: Sequence[Predictor],
    items: Sequence[Item],
    first: int,
    predict: Callable[[Predictor, Sequence[Frame]], list[T]],
    given: Mapping[int, GivenFiles],
) -> Iterator[_Done[T]]:
    """Number, frames and results of each file from the first wanted, in order; decoding runs ahead of the networks."""

    def decode(number: int) -> Decoded:
        try:
            return _decode(items[number], given.get(number), predictors[0])
        except DataError as error:
            return error

    with ExitStack() as stack:
        decoders = stack.enter_context(ThreadPoolExecutor(thread_count()))
        # One thread a batch at work; batches go to the devices in turn.
        lanes = [(one, stack.enter_context(ThreadPoolExecutor(1))) for one in predictors for _ in range(one.at_once)]
        running: deque[Future[list[_Done[T]]]] = deque()
        for turn, batch in enumerate(_batches(_ahead(decoders, decode, range(first, len(items)))), first // BATCH):
            predictor, lane = lanes[turn % len(lanes)]
            running.append(lane.submit(_predict, predictor, batch, predict))
            if len(running) > len(lanes):
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()


def _decode(item: Item, given: GivenFiles | None, predictor: Predictor) -> Decoded:
    frames = [Frame(picture, prepare(picture, predictor.config), size) for picture, size in item.frames()]
    if given is None:
        return frames
    try:
        known = given.read()
        check_frames(known, len(frames))
        return [frame._replace(given=predictor.check(known, frame.size)) for frame in frames]
    except DataError as error:
        raise DataError(f"{item.name}: {error}") from None


def _ahead(
    pool: ThreadPoolExecutor, decode: Callable[[int], Decoded], numbers: Iterable[int]
) -> Iterator[tuple[int, Decoded]]:
    """Number and frames of each file, in order, a batch of them decoded ahead."""
    waiting: deque[tuple[int, Future[Decoded]]] = deque()
    for number in numbers:
        waiting.append((number, pool.submit(decode, number)))
        if len(waiting) > BATCH:
            first, future = waiting.popleft()
            yield first, future.result()
    for number, future in waiting:
        yield number, future.result()


def _batches(decoded: Iterable[tuple[int, Decoded]]) -> Iterator[list[tuple[int, Decoded]]]:
    """Batches of files; most files have one frame."""
    batch: list[tuple[int, Decoded]] = []
    for one in decoded:
        batch.append(one)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _predict(
    predictor: Predictor,
    batch: Sequence[tuple[int, Decoded]],
    predict: Callable[[Predictor, Sequence[Frame]], list[T]],
) -> list[_Done[T]]:
    frames = [frame for _, decoded in batch if not isinstance(decoded, DataError) for frame in decoded]
    found: list[T] = []
    for start in range(0, len(frames), BATCH):
        found += predict(predictor, frames[start : start + BATCH])
    remaining = iter(found)
    return [
        (number, decoded, [] if isinstance(decoded, DataError) else [next(remaining) for _ in decoded])
        for number, decoded in batch
    ]


def file_stem(stem: str, frame: int | None = None) -> str:
    """Stem of the files that are written of a frame.

    Args:
        stem: of the file that holds it.
        frame: its number, from 0; None where the file has one frame.
    """
    return stem if frame is None else f"{stem}-frame-{frame}"


def distinct_stems(items: Sequence[Item]) -> list[str]:
    """Names of what is written of files: theirs, shortened where they leave no room for an ending.

    Repeated ones have a number appended; they are compared without case, as some file systems do.

    Args:
        items: the files.
    """
    taken: set[str] = set()
    counts: dict[str, int] = {}
    names = []
    for stem in (_short(_FRAME.sub(r"-page-\1", image_name(item.name))) for item in items):
        name, number = stem, counts.get(stem.casefold(), 1)
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        counts[stem.casefold()] = number
        taken.add(name.casefold())
        names.append(name)
    return names


def _short(stem: str) -> str:
    """A stem that leaves room in a file's name; what is cut is told apart by its hash."""
    data = stem.encode()
    if len(data) <= MAX_STEM:
        return stem
    return f"{data[:MAX_STEM].decode(errors='ignore')}-{hashlib.sha256(data).hexdigest()[:8]}"
