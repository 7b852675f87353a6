"""Masks, boxes and masked images of many files, each at the image's own size.

```
OUT/
  plan.json          what the folder was made from
  boxes.csv          image, box (x, y, width, height) around the largest lesion region extended on every side by 20 % of
                     its own, whether a lesion was found (else the box is the whole image), name of the files below
  MASKING-image/     the image, black outside what the masking leaves visible; hair removed if the bundle removes it
  MASKING-binary/    255 on what the masking leaves visible; of `segmentation` the lesion, empty if none was found
  clean/             the image without hair
```
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np

from selcn.config.sections import Hair
from selcn.data.imaging.masking import find_masking, visible_region
from selcn.data.imaging.prepare import without_hair
from selcn.data.imaging.read import write_image
from selcn.errors import DataError
from selcn.inference.inputs import Item
from selcn.inference.predictor import Predictor
from selcn.inference.result import Lesion
from selcn.inference.row import Row
from selcn.inference.stream import Decoded, Frame, distinct_stems, file_stem, work_through
from selcn.inference.table import write_csv

BOXES = "boxes.csv"
LESION_MASKING = "segmentation"
"""Name of the masking that leaves the lesion visible."""
_COLUMNS = {"image": str, "x": int, "y": int, "width": int, "height": int, "found": bool, "file": str}


class MaskKind(StrEnum):
    """What is written of an image: under each masking an image and a binary mask, and the image without hair."""

    IMAGE = "image"
    BINARY = "binary"
    CLEAN = "clean"


def write_masks(
    predictors: Sequence[Predictor],
    items: Sequence[Item],
    out: Path,
    *,
    maskings: Sequence[str],
    kinds: Sequence[MaskKind],
    source: str = "",
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Write what a bundle's segmentation network finds in files; resumable.

    Args:
        predictors: of one bundle, one a device.
        items: files.
        out: folder of this job alone, see this module; made where it does not exist.
        maskings: names of strategies.
        kinds: what to write.
        source: identifies bundle and engine; work of another source is not resumed.
        on_progress: called with files done and files in all.

    Returns:
        The error of each file that cannot be read.

    Raises:
        ConfigError: a masking is unknown, or the bundle has no segmentation network.
    """
    maskings = [find_masking(name).name for name in maskings]
    names, hair = distinct_stems(items), predictors[0].config.prepare.hair

    def describe(number: int, decoded: Decoded, lesions: list[Lesion]) -> list[Row]:
        if isinstance(decoded, DataError):
            return [{"image": items[number].name, "error": str(decoded)}]
        frames = range(len(decoded)) if len(decoded) > 1 else [None]
        files = [f"{file_stem(names[number], frame)}.png" for frame in frames]
        for frame, lesion, file in zip(decoded, lesions, files, strict=True):
            for folder, image in _drawn(frame.picture, lesion, maskings, kinds, hair=hair):
                write_image(out / folder / file, image)
        return [_row(items[number].name, lesion, file) for lesion, file in zip(lesions, files, strict=True)]

    return work_through(
        predictors,
        items,
        out / BOXES,
        {"command": "mask", "bundle": source, "maskings": maskings, "kinds": kinds},
        predict=_find_lesions,
        describe=describe,
        seal=_write_boxes,
        on_progress=on_progress,
    )


def _drawn(
    image: np.ndarray, lesion: Lesion, maskings: Sequence[str], kinds: Sequence[MaskKind], *, hair: Hair
) -> Iterator[tuple[str, np.ndarray]]:
    """Folder and image of everything that is written of one image."""
    masked = MaskKind.IMAGE in kinds
    clean = without_hair(image, hair or True) if MaskKind.CLEAN in kinds or (masked and hair) else image
    if MaskKind.CLEAN in kinds:
        yield MaskKind.CLEAN, clean
    for name in maskings:
        (visible,) = visible_region(name, lesion.mask[None])
        if masked:
            yield f"{name}-{MaskKind.IMAGE}", np.where(visible[..., None], clean if hair else image, 0).astype(np.uint8)
        if MaskKind.BINARY in kinds:
            # What the network found is not what a masking shows where that is nothing: there the whole image.
            binary = lesion.mask if name == LESION_MASKING else visible
            yield f"{name}-{MaskKind.BINARY}", binary.astype(np.uint8) * 255


def _row(name: str, lesion: Lesion, file: str) -> Row:
    box = dict(zip(("x", "y", "width", "height"), lesion.box, strict=True))
    return {"image": name, **box, "found": bool(lesion.mask.any()), "file": file}


def _find_lesions(predictor: Predictor, frames: Sequence[Frame]) -> list[Lesion]:
    return predictor.find_lesions(np.stack([frame.prepared for frame in frames]), [frame.size for frame in frames])


def _write_boxes(rows: Iterable[Row], path: Path) -> None:
    write_csv((row for row in rows if "error" not in row), _COLUMNS, path)
