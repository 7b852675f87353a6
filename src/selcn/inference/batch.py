"""Prediction of many files: rows, overlays and masks; decoded ahead, in bounded memory, resumable."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from selcn.data.imaging.decode import ImageFileError
from selcn.data.imaging.read import decode_frames, is_dicom, write_image
from selcn.errors import DataError
from selcn.inference.inputs import Item
from selcn.inference.overlay import render
from selcn.inference.predictor import Predictor
from selcn.inference.result import Prediction, prepare
from selcn.inference.row import Row, file_rows
from selcn.io.files import written_whole

BATCH = 8
"""Images of a batch; a few batches are in memory at once, and an image may have twenty megapixels."""
ROWS = "predictions.jsonl"
_SUFFIXES = {"overlay": "jpg", "mask": "png"}


@dataclass(frozen=True)
class OutputOptions:
    """What to write beside the rows.

    Attributes:
        overlays: images with outline and saliency.
        masks: the lesion, 0 or 255 at the image's own size.
        segmentations: of DICOM images, the lesion as DICOM Segmentation.
    """

    overlays: bool = True
    masks: bool = False
    segmentations: bool = False


class _Frame(NamedTuple):
    """A frame of a file as decoded, and as prepared for the networks."""

    picture: np.ndarray
    prepared: np.ndarray


_Decoded = list[_Frame] | DataError


def predict_files(
    predictors: Sequence[Predictor],
    items: Sequence[Item],
    out: Path,
    *,
    options: OutputOptions | None = None,
    source: str = "",
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Predict files into ``out/predictions.jsonl``, in their order; resumable.

    `selcn.inference.row` declares the keys of a row; paths in it are relative to ``out``. The rows of finished files
    are kept in a hidden file until all are finished.

    Args:
        predictors: of one bundle, one a device.
        items: files to predict.
        out: folder, made where it does not exist.
        options: what to write beside the rows; None for overlays.
        source: identifies bundle and engine; work of another source is not resumed.
        on_progress: called with files done and files in all.

    Returns:
        The error of each file that cannot be read.

    Raises:
        ConfigError: segmentations are asked for and the extra that writes them is not installed.
    """
    options = options or OutputOptions()
    if options.segmentations:
        import selcn.data.imaging.dicom_segmentation  # noqa: F401 - a missing extra must fail before anything is predicted
    out.mkdir(parents=True, exist_ok=True)
    journal = _Journal(out / f".{ROWS}", _plan(items, source, options))
    names = _distinct([Path(item.name).stem for item in items])
    done = journal.done
    if on_progress:
        on_progress(done, len(items))
    with journal:
        for number, decoded, predictions in _predicted(predictors, items[done:]):
            place = done + number
            rows = _rows(items[place], names[place], decoded, predictions, out, options)
            if options.segmentations and predictions:
                _segment(items[place], names[place], rows, predictions, out, source)
            journal.write(rows)
            if on_progress:
                on_progress(place + 1, len(items))
    return journal.finish(out / ROWS)


def read_rows(path: Path) -> Iterator[Row]:
    """Rows of a `predictions.jsonl`, one at a time.

    Args:
        path: of the file.
    """
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


class _Journal:
    """The record of finished files: a line that identifies the work, then one line a file with its rows."""

    def __init__(self, path: Path, plan: str) -> None:
        self.path, self.plan = path, plan
        whole = self._whole_lines()
        kept = whole if whole and json.loads(whole[0]) == plan else [json.dumps(plan).encode() + b"\n"]
        path.write_bytes(b"".join(kept))
        self.done = len(kept) - 1

    def __enter__(self) -> "_Journal":
        self.file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, rows: list[Row]) -> None:
        """Record the rows of a finished file."""
        self.file.write(json.dumps(rows, ensure_ascii=False) + "\n")
        self.file.flush()

    def finish(self, path: Path) -> list[str]:
        """Write all rows to a file atomically, and return the errors among them."""
        errors = []
        with written_whole(path) as partial, partial.open("w", encoding="utf-8") as file:
            for row in self._rows():
                file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
                errors += [row["error"]] if "error" in row else []
        self.path.unlink()
        return errors

    def _rows(self) -> Iterator[Row]:
        with self.path.open(encoding="utf-8") as file:
            next(file)
            for line in file:
                yield from json.loads(line)

    def _whole_lines(self) -> list[bytes]:
        lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        return [line for line in lines if line.endswith(b"\n")]


def _plan(items: Sequence[Item], source: str, options: OutputOptions) -> str:
    named = "\n".join(chain((source, json.dumps(asdict(options))), (item.name for item in items)))
    return hashlib.sha256(named.encode()).hexdigest()


def _predicted(
    predictors: Sequence[Predictor], items: Sequence[Item]
) -> Iterator[tuple[int, _Decoded, list[Prediction]]]:
    """Number, frames and predictions of each file, in order; decoding runs ahead of the networks."""
    config = predictors[0].config

    def decode(item: Item) -> _Decoded:
        try:
            pictures = decode_frames(item.read(), Path(item.name))
            return [_Frame(picture, prepare(picture, config)) for picture in pictures]
        except DataError as error:
            return error

    with ExitStack() as stack:
        decoders = stack.enter_context(ThreadPoolExecutor())
        # One thread a device; batches go to the devices in turn.
        devices = [stack.enter_context(ThreadPoolExecutor(1)) for _ in predictors]
        running: deque[Future[list[tuple[int, _Decoded, list[Prediction]]]]] = deque()
        for turn, batch in enumerate(_batches(_ahead(decoders, decode, items))):
            place = turn % len(predictors)
            running.append(devices[place].submit(_predict, predictors[place], batch))
            if len(running) > len(predictors):
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()


def _ahead(
    pool: ThreadPoolExecutor, decode: Callable[[Item], _Decoded], items: Iterable[Item]
) -> Iterator[tuple[int, _Decoded]]:
    """Number and frames of each file, in order, a batch of them decoded ahead."""
    waiting: deque[tuple[int, Future[_Decoded]]] = deque()
    for number, item in enumerate(items):
        waiting.append((number, pool.submit(decode, item)))
        if len(waiting) > BATCH:
            first, future = waiting.popleft()
            yield first, future.result()
    for number, future in waiting:
        yield number, future.result()


def _batches(decoded: Iterable[tuple[int, _Decoded]]) -> Iterator[list[tuple[int, _Decoded]]]:
    """Batches of files; most files have one frame."""
    batch: list[tuple[int, _Decoded]] = []
    for one in decoded:
        batch.append(one)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _predict(
    predictor: Predictor, batch: Sequence[tuple[int, _Decoded]]
) -> list[tuple[int, _Decoded, list[Prediction]]]:
    frames = [frame for _, decoded in batch if not isinstance(decoded, DataError) for frame in decoded]
    predictions: list[Prediction] = []
    for start in range(0, len(frames), BATCH):
        some = frames[start : start + BATCH]
        sizes = [(frame.picture.shape[1], frame.picture.shape[0]) for frame in some]
        predictions += predictor.predict_prepared(np.stack([frame.prepared for frame in some]), sizes)
    remaining = iter(predictions)
    return [
        (number, decoded, [] if isinstance(decoded, DataError) else [next(remaining) for _ in decoded])
        for number, decoded in batch
    ]


def _rows(
    item: Item, stem: str, decoded: _Decoded, predictions: Sequence[Prediction], out: Path, options: OutputOptions
) -> list[Row]:
    if isinstance(decoded, DataError):
        return file_rows(item.name, decoded)
    rows = file_rows(item.name, predictions)
    for row, frame, prediction in zip(rows, decoded, predictions, strict=True):
        drawn = render(frame.picture, prediction, overlay=options.overlays, mask=options.masks)
        for key, image in drawn.items():
            row[key] = f"{key}s/{_name(stem, row.get('frame'))}.{_SUFFIXES[key]}"
            write_image(out / row[key], image)
    return rows


def _segment(
    item: Item, stem: str, rows: Sequence[Row], predictions: Sequence[Prediction], out: Path, source: str
) -> None:
    """Write the segmentations of a DICOM image, and add their paths to its rows."""
    from selcn.data.imaging.dicom_segmentation import read_header, write_segmentation

    try:
        data = item.read()
        header = read_header(data, Path(item.name)) if is_dicom(data) else None
    except ImageFileError as error:
        for row in rows:
            row["segmentation_error"] = str(error)
        return
    if header is None:
        return
    for row, prediction in zip(rows, predictions, strict=True):
        if prediction.lesion is None:
            continue
        frame = row.get("frame")
        place = f"segmentations/{_name(stem, frame)}.dcm"
        try:
            write_segmentation(prediction.lesion.mask, header, out / place, frame=frame, source=source)
            row["segmentation"] = place
        except ImageFileError as error:
            row["segmentation_error"] = str(error)


def _name(stem: str, frame: int | None = None) -> str:
    return stem if frame is None else f"{stem}-frame-{frame}"


def _distinct(stems: Sequence[str]) -> list[str]:
    """The stems, repeated ones with a number appended; compared without case, as some file systems do."""
    taken: set[str] = set()
    counts: dict[str, int] = {}
    names = []
    for stem in stems:
        name, number = stem, counts.get(stem.casefold(), 1)
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        counts[stem.casefold()] = number
        taken.add(name.casefold())
        names.append(name)
    return names
