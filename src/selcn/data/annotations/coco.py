"""Annotations as a file of COCO: run lengths or polygons, with the target's class as category."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selcn.data.annotations.record import LESION, Annotation
from selcn.data.annotations.shapes import decode_mask, encode_mask, fill_polygons, outline_polygons
from selcn.errors import DataError, listed
from selcn.io.files import write_text

IMAGE_ID = "selcn_image_id"
"""Key of an image that holds the catalog's image_id, beside those of COCO."""


def write_coco(
    annotations: Sequence[Annotation], path: Path, choices: Mapping[str, Sequence[str]], *, polygons: bool = False
) -> None:
    """Write annotations as COCO, one a image, in their order.

    The words of the first column of ``choices`` are the categories, beside `lesion` for a mask without a word; those of
    the others are attributes, as CVAT reads them.

    Args:
        annotations: of any images.
        path: the file to write.
        choices: words by column, that of the target first; empty where there are only masks.
        polygons: whether masks are polygons, which hold no hole, instead of run lengths.

    Raises:
        ConfigError: the extra `annotations` is not installed.
    """
    column = next(iter(choices), LESION)
    numbers = {name: number for number, name in enumerate([*choices.get(column, ()), LESION], start=1)}
    root = Path(annotations[0].path).parent if annotations else Path()
    while not all(Path(one.path).is_relative_to(root) for one in annotations):
        root = root.parent
    images, found = [], []
    for number, one in enumerate(annotations, start=1):
        width, height = one.size
        name = Path(one.path).relative_to(root).as_posix()
        about = {"id": number, "file_name": name, "width": width, "height": height, IMAGE_ID: one.image_id}
        images.append(about | ({} if one.uncertainty is None else {"uncertainty": round(one.uncertainty, 6)}))
        category = numbers.get(one.words.get(column, LESION), numbers[LESION])
        attributes = {key: word for key, word in one.words.items() if key != column}
        shape = _shape(one, polygons=polygons)
        found.append({"id": number, "image_id": number, "category_id": category, **shape, "attributes": attributes})
    document = {
        "info": {"description": f"annotations by {annotations[0].by}" if annotations else ""},
        "licenses": [],
        "images": images,
        "categories": [
            {"id": number, "name": name, "supercategory": LESION if name == LESION else column}
            for name, number in numbers.items()
        ],
        "annotations": found,
    }
    write_text(path, json.dumps(document, ensure_ascii=False))


def _shape(one: Annotation, *, polygons: bool) -> dict[str, Any]:
    """Segmentation, area and box of a mask; without a mask the box is the whole image."""
    width, height = one.size
    if one.counts is None:
        return {"bbox": [0, 0, width, height], "area": width * height, "iscrowd": 0}
    mask = one.mask()
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = [0, 0, 0, 0]
    if len(rows):
        box = [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
    drawn: Any = outline_polygons(mask) if polygons else {"size": [height, width], "counts": one.counts}
    return {"segmentation": drawn, "area": int(mask.sum()), "bbox": box, "iscrowd": int(not polygons)}


def read_coco(path: Path, document: Mapping[str, Any], column: str, by: str) -> tuple[list[Annotation], int]:
    """The annotations of a document of COCO; several of one image are one mask.

    Args:
        path: of its file, for errors.
        document: with the keys `images`, `categories` and `annotations`.
        column: of the catalog that categories mean, where they do not tell it; one called `lesion` means none.
        by: who annotated.

    Returns:
        Annotations of the images that have any, and how many have none.

    Raises:
        ConfigError: the extra `annotations` is not installed.
        DataError: images or categories are missing or contradict each other; all faults are listed.
    """
    try:
        images = {one["id"]: one for one in document["images"]}
        categories = {one["id"]: one for one in document["categories"]}
        grouped: dict[Any, list[Mapping[str, Any]]] = {}
        for one in document["annotations"]:
            grouped.setdefault(one["image_id"], []).append(one)
        strange = [f"annotation of image {number}, which is not listed" for number in grouped if number not in images]
        sizes = {number: (int(one["width"]), int(one["height"])) for number, one in images.items()}
        names = {number: str(one["file_name"]) for number, one in images.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: is no file of COCO ({error} is missing or wrong); export it anew") from None
    found, faults = [], strange
    for number, several in grouped.items():
        if number not in images:
            continue
        try:
            words, counts = _words(several, categories, column), _counts(several, sizes[number])
            image_id = str(images[number].get(IMAGE_ID, ""))
            found.append(Annotation(image_id, names[number], sizes[number], counts, words, by=by))
        except DataError as error:
            faults.append(f"{names[number]}: {error}")
    if faults:
        raise DataError(f"{path}: {listed(faults)}; correct it in the tool and export it anew")
    return found, len(images) - len(grouped)


def _words(
    several: Sequence[Mapping[str, Any]], categories: Mapping[Any, Mapping[str, Any]], column: str
) -> dict[str, str]:
    words: dict[str, str] = {}
    for one in several:
        category = categories.get(one.get("category_id"))
        if category is None:
            raise DataError(f"category {one.get('category_id')} is not listed")
        told = {str(category.get("supercategory") or column): str(category["name"])}
        told = {} if str(category["name"]) == LESION else told
        for key, word in {**(one.get("attributes") or {}), **told}.items():
            if isinstance(word, str) and words.setdefault(key, word) != word:
                raise DataError(f"{key} is {words[key]} and {word}")
    return words


def _counts(several: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> str | None:
    """Run lengths of the union of all segmentations; None where there is none."""
    masks = [_mask(one["segmentation"], size) for one in several if one.get("segmentation") is not None]
    return encode_mask(np.logical_or.reduce(masks)) if masks else None


def _mask(shape: Any, size: tuple[int, int]) -> np.ndarray:  # noqa: ANN401 - run lengths or polygons
    if not isinstance(shape, Mapping):
        return fill_polygons(shape, size)
    if list(shape.get("size", [])) != [size[1], size[0]]:
        raise DataError(f"its mask is of another size than {size[0]}x{size[1]}")
    return decode_mask(shape["counts"], size)
