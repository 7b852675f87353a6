"""Pre-annotations for people to correct: masks and classes of a run, out of fold, or of a bundle, the least sure "
"first."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import entr

from selcn.data.annotations.coco import write_coco
from selcn.data.annotations.label_studio import LOCAL_FILES, page_configuration, write_label_studio
from selcn.data.annotations.record import Annotation, choices, ranked
from selcn.data.annotations.shapes import encode_mask
from selcn.data.imaging.address import locate
from selcn.data.imaging.decode import peek_size
from selcn.data.imaging.prepare import resize
from selcn.data.imaging.read import read_bytes, read_image
from selcn.errors import DataError
from selcn.inference.batch import predict_frames, read_rows
from selcn.inference.bundle import BundleConfig, read_config
from selcn.inference.inputs import Item
from selcn.inference.predictor import Predictor
from selcn.inference.result import ClassResult, Prediction, class_result
from selcn.inference.row import Row
from selcn.inference.stream import Decoded, work_through
from selcn.io.files import write_text, written_whole
from selcn.io.progress import OnProgress
from selcn.io.resume import folder_of_job
from selcn.io.tables import guarded
from selcn.labels import LabelSet
from selcn.runs.folder import MASKS, PROBABILITIES
from selcn.runs.run import Run

ROWS, QUEUE = "annotations.jsonl", "queue.csv"
COCO, LABEL_STUDIO = "coco", "label-studio"
FORMATS = (COCO, LABEL_STUDIO)
_NO_SALIENCY = np.empty((0, 0), dtype=np.float32)


def annotate_with_run(run: Run, out: Path, on_progress: OnProgress | None = None) -> None:
    """Write a run's masks and classes of its catalog's images: each fold's by the member that was not trained on it.

    Args:
        run: that has finished.
        out: folder to write `annotations.jsonl` to, an image of the folds or of the test subset a line.
        on_progress: called with images done and images in all.

    Raises:
        DataError: an image cannot be read, or ``out`` holds something else.
        RunError: the run has not finished.
    """
    run.manifests()
    config = read_config(run.folder.bundle)
    answers = {name: run.output(name, PROBABILITIES) for name in config.classifiers}
    masks = run.output(config.segmenter, MASKS) if config.segmenter else None
    rows = np.sort(np.concatenate([*run.fold_rows, run.test_rows]))
    source = f"{config.name}, out of fold, selcn {config.selcn}"

    def describe(done: int, row: int) -> Row:
        path = str(run.table["image_path"].iloc[row])
        size = _size(Path(path))
        mask = None if masks is None else resize(np.asarray(masks[row]) * np.uint8(255), size) > 127
        results = {name: class_result(config, name, values[row], _NO_SALIENCY) for name, values in answers.items()}
        if on_progress:
            on_progress(done, len(rows))
        return _row(config, str(run.table["image_id"].iloc[row]), path, size, mask, results, source)

    plan = {"command": "annotations", "run": config.name, "split": config.split, "networks": list(answers)}
    with folder_of_job(out, plan), written_whole(out / ROWS) as partial:
        _write_rows((describe(done, row) for done, row in enumerate(rows.tolist(), start=1)), partial)


def annotate_with_bundle(
    predictors: Sequence[Predictor],
    table: pd.DataFrame,
    out: Path,
    *,
    source: str,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Write a bundle's masks and classes of a catalog's images; resumable.

    Args:
        predictors: of one bundle, one a device.
        table: a validated catalog.
        out: folder to write `annotations.jsonl` to, an image a line; the folder is of this job alone.
        source: what identifies bundle and engine.
        on_progress: called with images done and images in all.

    Returns:
        The error of each image that cannot be read.

    Raises:
        DataError: another process works in ``out``, or it holds something else.
    """
    pairs = zip(table["image_path"], table["image_id"], strict=True)
    items, config, label = [Item(path, None, name) for path, name in pairs], predictors[0].config, predictors[0].label

    def describe(number: int, decoded: Decoded, predictions: list[Prediction]) -> list[Row]:
        item = items[number]
        if isinstance(decoded, DataError):
            return [{"path": item.name, "error": str(decoded)}]
        if len(predictions) > 1:
            return [
                {"path": item.name, "error": f"{item.name}: holds several frames; index it anew, for a row a frame"}
            ]
        (one,) = predictions
        mask = None if one.lesion is None else one.lesion.mask
        return [_row(config, item.image_id, item.name, one.size, mask, one.results, label)]

    plan = {"command": "annotations", "bundle": source}
    return work_through(
        predictors,
        items,
        out / ROWS,
        plan,
        predict=predict_frames,
        describe=describe,
        seal=_write_rows,
        on_progress=on_progress,
    )


def write_queue(
    out: Path,
    labels: Sequence[LabelSet],
    tool: str,
    *,
    polygons: bool = False,
    top: int | None = None,
    address: str = LOCAL_FILES,
) -> tuple[Path, int]:
    """Write the annotations of a folder for a tool, and `queue.csv`, both by uncertainty, the largest first.

    Args:
        out: folder that holds `annotations.jsonl`.
        labels: label sets of the networks, that of the target first.
        tool: one of `FORMATS`.
        polygons: whether masks are polygons, which hold no hole.
        top: how many images to write; None for all.
        address: of Label Studio, what goes before an image's path without its leading slash.

    Returns:
        The file, and how many images it holds.

    Raises:
        ConfigError: the extra `annotations` is not installed.
    """
    rows = [row for row in read_rows(out / ROWS) if "error" not in row]
    found = ranked([Annotation(**{**row, "size": tuple(row["size"])}) for row in rows], top)
    words = choices(labels)
    file = out / f"{tool}.json"
    if tool == COCO:
        write_coco(found, file, words, polygons=polygons)
    else:
        write_label_studio(found, file, polygons=polygons, address=address)
        write_text(out / "label-studio.xml", page_configuration(words))
    queue = [
        {
            "rank": rank,
            "image_id": one.image_id,
            "uncertainty": one.uncertainty,
            "confidence": one.confidence,
            **one.words,
            "image_path": one.path,
        }
        for rank, one in enumerate(found, start=1)
    ]
    write_text(out / QUEUE, guarded(pd.DataFrame(queue)).to_csv(index=False, float_format="%.6f", lineterminator="\n"))
    return file, len(found)


def _row(
    config: BundleConfig,
    image_id: str,
    path: str,
    size: tuple[int, int],
    mask: np.ndarray | None,
    results: Mapping[str, ClassResult],
    source: str,
) -> Row:
    """An annotation as JSON values; of two networks with labels of one column the target's, else the first's, "
    "counts."""
    names = [name for name in (config.target, *config.classifiers) if name in results and results[name].defined]
    words: dict[str, str] = {}
    for name in names:
        words.setdefault(config.labels(name).column, results[name].prediction)
    answer = results[config.target] if config.target in names else None
    values = None if answer is None else np.array(list(answer.probabilities.values()))
    return asdict(
        Annotation(
            image_id,
            path,
            size,
            None if mask is None else encode_mask(mask),
            words,
            None if values is None else normalised_entropy(values),
            None if answer is None else answer.confidence,
            source,
        )
    )


def normalised_entropy(probabilities: np.ndarray) -> float:
    """Entropy of probabilities over that of as many equal ones, 0 to 1.

    Args:
        probabilities: (C,), at least two.
    """
    return float(entr(probabilities).sum() / np.log(len(probabilities)))


def _size(path: Path) -> tuple[int, int]:
    """Width and height of an image, told from its header where that tells it."""
    known = None if locate(path).frame is not None else peek_size(read_bytes(path))
    height, width = known[::-1] if known else read_image(path).shape[:2]
    return width, height


def _write_rows(rows: Iterable[Row], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
