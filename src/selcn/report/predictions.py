"""A bundle on many pictures: one JSON line and one overlay picture each."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selcn.data.images import read_image, write_image
from selcn.errors import DataError
from selcn.files import written_whole
from selcn.inference import Predictor
from selcn.report.overlay import draw_overlay

BATCH = 8  # pictures held at once; they may be of twenty megapixels each


def predict_files(
    predictor: Predictor,
    pictures: Sequence[Path],
    out: Path,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Predict pictures into ``out/predictions.jsonl``, in their order, and ``out/overlays/``.

    A line holds ``image``, the keys of :meth:`~selcn.inference.Prediction.to_json` and the overlay's path below
    ``out``; of a picture that cannot be read, ``image`` and ``error``. The file stands under its name when it is whole.

    Args:
        predictor: of a bundle.
        pictures: files to predict.
        out: folder, made where it does not exist.
        on_progress: called with pictures done and pictures in all.

    Returns:
        The error of each picture that cannot be read.
    """
    (out / "overlays").mkdir(parents=True, exist_ok=True)
    overlays = [f"overlays/{name}.jpg" for name in _distinct([path.stem for path in pictures])]
    errors = []
    with written_whole(out / "predictions.jsonl") as partial, partial.open("w", encoding="utf-8") as file:
        for start in range(0, len(pictures), BATCH):
            batch = slice(start, start + BATCH)
            for line in _predict_batch(predictor, pictures[batch], overlays[batch], out):
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                errors += [line["error"]] if "error" in line else []
            if on_progress:
                on_progress(min(start + BATCH, len(pictures)), len(pictures))
    return errors


def _predict_batch(
    predictor: Predictor, paths: Sequence[Path], overlays: Sequence[str], out: Path
) -> Iterator[dict[str, Any]]:
    pictures = [_read_or_error(path) for path in paths]
    readable = [picture for picture in pictures if isinstance(picture, np.ndarray)]
    predictions = iter(predictor.predict_batch(readable) if readable else [])
    for path, picture, overlay in zip(paths, pictures, overlays, strict=True):
        if isinstance(picture, DataError):
            yield {"image": str(path), "error": str(picture)}
        else:
            prediction = next(predictions)
            write_image(out / overlay, draw_overlay(picture, prediction))
            yield {"image": str(path), **prediction.to_json(), "overlay": overlay}


def _read_or_error(path: Path) -> np.ndarray | DataError:
    try:
        return read_image(path)
    except DataError as error:
        return error


def _distinct(stems: Sequence[str]) -> list[str]:
    """The stems, a number behind those there were before; case does not tell names apart on every file system."""
    taken: set[str] = set()
    names = []
    for stem in stems:
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names
