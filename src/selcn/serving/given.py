"""Given results of uploads: the part `given` of a multipart request, and the parts that it names."""

import base64
import binascii
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from selcn.data.imaging.decode import decode_mask, peek_size
from selcn.errors import DataError
from selcn.inference.bundle import BundleConfig
from selcn.inference.given import MASK, Given, saliency_name
from selcn.inference.given_table import decode_map
from selcn.labels.metadata import AGE, MAX_AGE, SEX, SEXES, SITE, SITES

PART = "given"
_DATA = "data:"
_EXAMPLE = {"lesion.jpg": {MASK: "name-of-a-part"}}
_FIELDS = {
    AGE: {"type": ["number", "null"], "minimum": 0, "maximum": MAX_AGE, "description": "In years; null is unknown."},
    SEX: {"type": ["string", "null"], "enum": [*SEXES, None], "description": "null is unknown."},
    SITE: {"type": ["string", "null"], "enum": [*SITES, None], "description": "null is unknown."},
}


class GivenError(DataError):
    """What a request gives does not fit its images or the bundle."""


@dataclass(frozen=True)
class GivenUpload:
    """What a request gives of one image.

    Attributes:
        mask: content of an image file; None for no mask.
        classes: by the network's name.
        saliency: content of an image file in grey, or rows of values, by the network's name.
        metadata: by field; None is unknown.
    """

    mask: bytes | None = None
    classes: Mapping[str, str] = field(default_factory=dict)
    saliency: Mapping[str, bytes | list[Any]] = field(default_factory=dict)
    metadata: Mapping[str, str | float | None] = field(default_factory=dict)

    def read(self, size: tuple[int, int], max_pixels: int) -> Given:
        """Decode it.

        Args:
            size: width and height of the image.
            max_pixels: of a saliency map, more are refused.

        Raises:
            DataError: no mask of the image's size, or no map.
        """
        mask = None
        if self.mask is not None:
            found = peek_size(self.mask)
            # Told before it is decoded, so that it is no larger than its image.
            if found is not None and found != size:
                raise DataError(f"given {MASK}: is {found[0]}x{found[1]}, its image {size[0]}x{size[1]}")
            mask = decode_mask(self.mask, Path(f"given {MASK}"))[1]
        maps = {name: _map(name, one, max_pixels) for name, one in self.saliency.items()}
        return Given(mask, self.classes, maps, self.metadata)


def parse_given(text: str | bytes, parts: Mapping[str, bytes], config: BundleConfig) -> dict[str, GivenUpload]:
    """What a request gives, by the name of the upload.

    Args:
        text: JSON as `given_schema` describes it.
        parts: contents of the request's files by the name of their part.
        config: of the bundle.

    Raises:
        GivenError: of another form, or it names a key or part that does not exist.
    """
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        raise GivenError(f"{PART}: is not JSON; write such as {json.dumps(_EXAMPLE)}") from None
    if not (isinstance(tree, dict) and all(isinstance(one, dict) for one in tree.values())):
        raise GivenError(f"{PART}: holds no results by upload name; write such as {json.dumps(_EXAMPLE)}")
    return {name: _parse_one(f"{PART}: {name}", one, parts, config) for name, one in tree.items()}


def named_parts(text: str | bytes) -> set[str]:
    """Every string in the JSON of given results, among which are the parts that hold masks and maps, not images.

    Args:
        text: JSON, or anything else, which names none.
    """
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return set()
    return set(_strings(tree))


def given_schema(config: BundleConfig) -> dict[str, Any]:
    """The JSON schema of what a request gives, for OpenAPI.

    Args:
        config: of the bundle.
    """
    file = {"type": "string", "description": "Name of another part of the request, or a data URI of an image."}
    rows = {"type": "array", "items": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}}}
    masks = {MASK: file} if config.segmenter else {}
    classes = {name: {"type": "string", "enum": list(config.labels(name).names)} for name in config.classifiers}
    maps = {saliency_name(name): {"oneOf": [file, rows]} for name in config.classifiers}
    return {
        "type": "object",
        "description": "Results that go before predicted ones, by the file name of the image.",
        "additionalProperties": {
            "type": "object",
            "properties": {**masks, **classes, **maps, **{name: _FIELDS[name] for name in config.metadata}},
            "additionalProperties": False,
        },
    }


def _parse_one(where: str, tree: Mapping[str, Any], parts: Mapping[str, bytes], config: BundleConfig) -> GivenUpload:
    maps = {saliency_name(name): name for name in config.classifiers}
    known = [*([MASK] if config.segmenter else []), *config.classifiers, *maps, *config.metadata]
    for key, value in tree.items():
        if key not in known:
            raise GivenError(f"{where}: unknown key {key}; write {', '.join(known)}")
        known_age = key == AGE and isinstance(value, int | float)
        unknown = key in config.metadata and value is None
        if not (isinstance(value, str) or known_age or unknown or (key in maps and isinstance(value, list))):
            raise GivenError(f"{where}: {key} is no text; write a class, the name of a part, or a data URI")
    files = {
        key: _content(f"{where}: {key}", value, parts) for key, value in tree.items() if key == MASK or key in maps
    }
    mask = files.pop(MASK, None)
    assert not isinstance(mask, list)
    classes = {name: tree[name] for name in config.classifiers if name in tree}
    metadata = {field: tree[field] for field in config.metadata if field in tree}
    return GivenUpload(mask, classes, {maps[key]: one for key, one in files.items()}, metadata)


def _content(where: str, value: str | list[Any], parts: Mapping[str, bytes]) -> bytes | list[Any]:
    if isinstance(value, list):
        return value
    if value in parts:
        return parts[value]
    if not value.startswith(_DATA):
        raise GivenError(f"{where} names the part {value!r}, which the request does not have")
    try:
        return base64.b64decode(value.partition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        raise GivenError(f"{where}: no data URI in base64") from None


def _map(network: str, value: bytes | list[Any], max_pixels: int) -> np.ndarray:
    what = f"given {saliency_name(network)}"
    if isinstance(value, bytes):
        return decode_map(value, Path(what), max_pixels)
    try:
        values = np.asarray(value, dtype=np.float32)
    except (ValueError, TypeError, OverflowError, RecursionError):
        values = np.full((1, 1), math.nan, np.float32)  # which no map holds
    return values


def _strings(tree: object) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        for one in tree.values():
            yield from _strings(one)
