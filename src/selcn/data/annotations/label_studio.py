"""Annotations as tasks of Label Studio, with predictions as pre-annotations, and its configuration of the page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import quoteattr

import numpy as np

from selcn.data.annotations.record import LESION, Annotation
from selcn.data.annotations.shapes import encode_mask, fill_polygons, outline_polygons, pack_brush, unpack_brush
from selcn.errors import DataError, listed
from selcn.io.files import write_text

LOCAL_FILES = "/data/local-files/?d="
"""How Label Studio addresses files of its own machine, relative to its document root."""
IMAGE = "image"
_POLYGON = "lesion-polygon"
_WHOLE = 100
"""Per cent of width and height, in which Label Studio has the points of polygons."""


def write_label_studio(
    annotations: Sequence[Annotation], path: Path, *, polygons: bool = False, address: str = LOCAL_FILES
) -> None:
    """Write tasks with predictions, in their order, for `Import` of a project.

    Args:
        annotations: of any images.
        path: the file to write.
        polygons: whether masks are polygons, which hold no hole, instead of brush strokes.
        address: what goes before an image's path without its leading slash.

    Raises:
        ConfigError: the extra `annotations` is not installed.
    """
    tasks = []
    for one in annotations:
        prediction = {"model_version": one.by, "result": _results(one, polygons=polygons)}
        score = {} if one.confidence is None else {"score": round(one.confidence, 6)}
        unsure = {} if one.uncertainty is None else {"uncertainty": round(one.uncertainty, 6)}
        place = address + quote(Path(one.path).absolute().as_posix().lstrip("/"))
        data = {IMAGE: place, "image_id": one.image_id, **unsure}
        tasks.append({"data": data, "predictions": [prediction | score]})
    write_text(path, json.dumps(tasks, ensure_ascii=False))


def page_configuration(choices: Mapping[str, Sequence[str]]) -> str:
    """The labelling configuration of a project: the image, a brush and polygons for the lesion, and choices.

    Args:
        choices: words by column of the catalog.
    """
    lines = [
        "<View>",
        f'  <Image name="{IMAGE}" value="${IMAGE}" zoom="true"/>',
        f'  <BrushLabels name="{LESION}" toName="{IMAGE}"><Label value="{LESION}"/></BrushLabels>',
        f'  <PolygonLabels name="{_POLYGON}" toName="{IMAGE}"><Label value="{LESION}"/></PolygonLabels>',
    ]
    for column, words in choices.items():
        options = "".join(f"<Choice value={quoteattr(word)}/>" for word in words)
        lines.append(f"  <Header value={quoteattr(column)}/>")
        lines.append(f'  <Choices name={quoteattr(column)} toName="{IMAGE}" choice="single">{options}</Choices>')
    return "\n".join([*lines, "</View>"]) + "\n"


def _results(one: Annotation, *, polygons: bool) -> list[dict[str, Any]]:
    width, height = one.size
    common = {"to_name": IMAGE, "original_width": width, "original_height": height, "image_rotation": 0}
    results: list[dict[str, Any]] = []
    if one.counts is not None and polygons:
        scale = np.array([_WHOLE / width, _WHOLE / height])
        for number, polygon in enumerate(outline_polygons(one.mask())):
            points = (np.reshape(polygon, (-1, 2)) * scale).tolist()
            value = {"points": points, "closed": True, "polygonlabels": [LESION]}
            results.append(
                {"id": f"{_POLYGON}-{number}", "type": "polygonlabels", "from_name": _POLYGON, "value": value}
            )
    elif one.counts is not None:
        value = {"format": "rle", "rle": pack_brush(one.mask()), "brushlabels": [LESION]}
        results.append({"id": LESION, "type": "brushlabels", "from_name": LESION, "value": value})
    for column, word in one.words.items():
        results.append({"id": column, "type": "choices", "from_name": column, "value": {"choices": [word]}})
    return [{**one, **common} for one in results]


def read_label_studio(path: Path, tasks: Sequence[Any]) -> tuple[list[Annotation], int, int]:
    """The annotations of an export of Label Studio (`JSON`); of several of one task the newest counts.

    Args:
        path: of its file, for errors.
        tasks: what the file holds.

    Returns:
        Annotations of the tasks that have any, how many have none, and how many have several.

    Raises:
        ConfigError: the extra `annotations` is not installed.
        DataError: tasks cannot be read; all faults are listed.
    """
    found, faults, several = [], [], 0
    for number, task in enumerate(tasks, start=1):
        try:
            given = [one for one in task["annotations"] if not one.get("was_cancelled")]
            if given:
                several += len(given) > 1
                newest = max(given, key=lambda one: str(one.get("updated_at") or one.get("created_at") or ""))
                found.append(_annotation(task["data"], newest))
        except DataError as error:
            faults.append(f"task {task.get('id', number)}: {error}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            faults.append(f"task {number}: {error} is missing or wrong")
    if faults:
        raise DataError(f"{path}: {listed(faults)}; correct it in Label Studio and export it anew as JSON")
    return found, len(tasks) - len(found), several


def _annotation(data: Mapping[str, Any], given: Mapping[str, Any]) -> Annotation:
    masks, words = [], {}
    size = (0, 0)
    for one in given["result"]:
        kind, value = one["type"], one["value"]
        if kind in ("brushlabels", "polygonlabels", "brush", "polygon"):
            size = (int(one["original_width"]), int(one["original_height"]))
            masks.append(_mask(kind, value, size))
        elif kind == "choices":
            if len(value["choices"]) > 1:
                raise DataError(f"{one['from_name']} is {' and '.join(value['choices'])}")
            words[str(one["from_name"])] = str(value["choices"][0])
        else:
            raise DataError(f"a {kind} is no mask; draw with the brush or polygons")
    if len({mask.shape for mask in masks}) > 1:
        raise DataError("its regions are of images of several sizes")
    counts = encode_mask(np.logical_or.reduce(masks)) if masks else None
    person, when = given.get("completed_by"), str(given.get("updated_at") or given.get("created_at") or "")
    named = person.get("email") or person.get("id") if isinstance(person, Mapping) else person
    image = unquote(str(data.get(IMAGE, "")).rpartition("?d=")[2])
    by = f"annotator {named}" if isinstance(named, int) else str(named or "unknown")
    return Annotation(str(data.get("image_id", "")), image, size, counts, words, by=by, when=when)


def _mask(kind: str, value: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    if kind.startswith("brush"):
        return unpack_brush(value["rle"], size)
    points = np.asarray(value["points"], dtype=float) * (np.array(size) / _WHOLE)
    return fill_polygons([points.ravel().tolist()], size)
