"""Prediction of many files: rows, overlays and masks."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from selcn.data.imaging.decode import ImageFileError
from selcn.data.imaging.prepare import smallest_size
from selcn.data.imaging.read import is_dicom, write_image
from selcn.errors import ConfigError, DataError
from selcn.inference.given_table import GivenTable
from selcn.inference.inputs import Item
from selcn.inference.overlay import render
from selcn.inference.predictor import Predictor
from selcn.inference.result import Prediction
from selcn.inference.row import Row, file_rows
from selcn.inference.stream import Decoded, Frame, distinct_stems, file_stem, work_through

ROWS = "predictions.jsonl"
_SUFFIXES = {"overlay": "jpg", "mask": "png"}


@dataclass(frozen=True)
class OutputOptions:
    """What to write beside the rows, and of what.

    Attributes:
        overlays: images with outline and saliency.
        masks: the lesion, 0 or 255 at the image's own size.
        segmentations: of DICOM images, the lesion as DICOM Segmentation.
        draft: JPEG is decoded at a half, a quarter or an eighth of its size where the networks need no more; not with
            overlays, which are drawn on the whole picture.
    """

    overlays: bool = True
    masks: bool = False
    segmentations: bool = False
    draft: bool = False


def predict_files(
    predictors: Sequence[Predictor],
    items: Sequence[Item],
    out: Path,
    *,
    options: OutputOptions | None = None,
    given: GivenTable | None = None,
    source: str = "",
    stems: Sequence[str] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Predict files into ``out/predictions.jsonl``, in their order, with paths relative to ``out``; resumable.

    Args:
        predictors: of one bundle, one a device.
        items: files to predict.
        out: folder of this job alone, made where it does not exist; see `selcn.inference.stream.work_through`.
        options: what to write beside the rows; None for overlays.
        given: results of these files that go before predicted ones.
        source: identifies bundle and engine; work of another source is not resumed.
        stems: names of what is written of each file; None for `selcn.inference.stream.distinct_stems`.
        on_progress: called with files done and files in all.

    Returns:
        The error of each file that cannot be read.

    Raises:
        DataError: another process works in ``out``, or it holds something else.
        ConfigError: segmentations are asked for and the extra that writes them is not installed, or overlays of drafts.
    """
    options = options or OutputOptions()
    plan = predict_plan(options, given, source)
    if options.draft:
        wanted = predictors[0].config.prepare
        items = [replace(one, smallest=smallest_size(wanted.size, wanted.hair)) for one in items]
    names, outputs = stems or distinct_stems(items), _Outputs(out, options, predictors[0].label, source)
    return work_through(
        predictors,
        items,
        out / ROWS,
        plan,
        predict=predict_frames,
        describe=lambda number, decoded, found: outputs.rows(items[number], names[number], decoded, found),
        seal=_write_rows,
        given=given.rows if given else None,
        on_progress=on_progress,
    )


def predict_plan(options: OutputOptions, given: GivenTable | None, source: str) -> dict[str, Any]:
    """What identifies the work of `predict_files` beside its files, as JSON.

    Args:
        options: what is written beside the rows.
        given: results that go before predicted ones.
        source: identifies bundle and engine.

    Raises:
        ConfigError: segmentations are asked for and the extra that writes them is not installed, or overlays of drafts.
    """
    if options.draft and options.overlays:
        raise ConfigError("--draft: overlays are drawn on whole pictures; add --no-overlays")
    if options.segmentations:
        import selcn.data.imaging.dicom_segmentation  # noqa: F401 - a missing extra must fail before anything is predicted
    return {
        "command": "predict",
        "bundle": source,
        "options": asdict(options),
        "given": given.digest if given else None,
    }


def read_rows(path: Path) -> Iterator[Row]:
    """Rows of a `predictions.jsonl`, one at a time.

    Args:
        path: of the file.
    """
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def predict_frames(predictor: Predictor, frames: Sequence[Frame]) -> list[Prediction]:
    """The predictions of a batch of frames, with what is given of each.

    Args:
        predictor: of a bundle.
        frames: decoded and prepared.
    """
    prepared = np.stack([frame.prepared for frame in frames])
    return predictor.predict_prepared(prepared, [frame.size for frame in frames], [frame.given for frame in frames])


def _write_rows(rows: Iterable[Row], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


@dataclass(frozen=True)
class _Outputs:
    """Writes what belongs to a file's rows.

    Attributes:
        out: folder of the rows.
        options: what to write beside them.
        model: name of the bundle, for people.
        source: identifies bundle and engine.
    """

    out: Path
    options: OutputOptions
    model: str
    source: str

    def rows(self, item: Item, stem: str, decoded: Decoded, predictions: Sequence[Prediction]) -> list[Row]:
        """The rows of a file, once all that they name is written."""
        if isinstance(decoded, DataError):
            return file_rows(item.name, decoded)
        rows = file_rows(item.name, predictions)
        for row, frame, prediction in zip(rows, decoded, predictions, strict=True):
            number = f", frame {row['frame']}" if "frame" in row else ""
            about = (f"file: {Path(item.name).name}{number}", self.model)
            wanted = {"overlay": self.options.overlays, "mask": self.options.masks}
            for key, image in render(frame.picture, prediction, about, **wanted).items():
                row[key] = f"{key}s/{file_stem(stem, row.get('frame'))}.{_SUFFIXES[key]}"
                write_image(self.out / row[key], image)
        if self.options.segmentations:
            self._segment(item, stem, rows, predictions)
        return rows

    def _segment(self, item: Item, stem: str, rows: Sequence[Row], predictions: Sequence[Prediction]) -> None:
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
            place = f"segmentations/{file_stem(stem, row.get('frame'))}.dcm"
            frame = row.get("frame", item.frame)
            try:
                write_segmentation(prediction.lesion.mask, header, self.out / place, frame=frame, source=self.source)
                row["segmentation"] = place
            except ImageFileError as error:
                row["segmentation_error"] = str(error)
