"""The row of an image: JSON rows, tables and the HTTP schema follow from the keys declared here."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, create_model

from selcn.errors import ConfigError, DataError
from selcn.inference.given import saliency_name

if TYPE_CHECKING:
    from selcn.inference.bundle import BundleConfig
    from selcn.inference.result import Prediction

Row = dict[str, Any]
STRICT = ConfigDict(extra="forbid")
FILE_KEYS = ("segmentation", "segmentation_error")
"""Keys that only rows of files on a disk may have."""
_Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class RowKey:
    """One key of a row.

    Attributes:
        name: of the key.
        kind: type of its value, as pydantic takes types.
        description: of its value, for people.
        fill: from a prediction to the value; None for a key that is added later, to some rows.
        columns: the columns of a flat table that hold the value, with their types.
        split: from the key's value to the columns' values.
        optional: whether `fill` gives None for some predictions, whose rows then lack the key.
    """

    name: str
    kind: Any
    description: str
    fill: "Callable[[Prediction], Any] | None"
    columns: Mapping[str, type]
    split: Callable[[Any], Iterable[Any]]
    optional: bool = False


class LesionRow(BaseModel):
    """Where the lesion is, in the image's own pixels."""

    model_config = STRICT

    found: bool
    share: _Share = Field(description="Of the image that is lesion, all regions together.")
    box: tuple[int, int, int, int] = Field(
        description="x, y, width, height; extended on every side by 20 % of the lesion's."
    )
    outline: list[tuple[int, int]] = Field(description="x and y along the border of the largest lesion region.")


def row_keys(
    labels: Mapping[str, Sequence[str]],
    *,
    lesion: bool,
    undefined: Collection[str] = (),
    sets: bool = False,
    target: str = "",
) -> list[RowKey]:
    """The keys of a row, in order.

    Args:
        labels: class names of each classifier, by its name.
        lesion: whether there is a segmentation network.
        undefined: names of the classifiers whose answer may be undefined, null in the row.
        sets: whether there are prediction sets.
        target: name of the classifier that they are of; "" where its answer is always defined.

    Raises:
        ConfigError: two keys, or two columns of a table, would have one name.
    """
    keys = [
        _single("image", str, "Name that the image was given under."),
        _single("frame", int, "Number of the frame, from 0; only of a file with several."),
        _single("error", str, "Why the file could not be read; such a row has no key but this and `image`."),
        _single("width", int, "Of the image, in pixels.", lambda one: one.size[0]),
        _single("height", int, "Of the image, in pixels.", lambda one: one.size[1]),
        _given(),
        *([_lesion()] if lesion else []),
        *(_result(name, tuple(names), undefined=name in undefined) for name, names in labels.items()),
        *([_set(optional=target in undefined)] if sets else []),
        _single("abstain", bool, "The predicted class is too improbable to rely on.", lambda one: one.abstain),
        _warnings(),
        _single(
            "distance",
            float,
            "From the training images; about 1 is usual, 0 where it was not measured.",
            lambda one: round(one.distance, 4),
        ),
        *map(_saliency, labels),
        _single("overlay", str, "Outline and saliency, JPEG: a path below the output folder; over HTTP a data URI."),
        _single("mask", str, "The lesion, PNG of 0 and 255: likewise."),
        _single("segmentation", str, "The lesion as DICOM Segmentation: a path below the output folder."),
        _single("segmentation_error", str, "Why there is no DICOM Segmentation."),
    ]
    for names in ([key.name for key in keys], [column for key in keys for column in key.columns]):
        for twice in (name for name in names if names.count(name) > 1):
            raise ConfigError(f"networks {', '.join(labels)}: two keys or columns are called {twice}; rename a network")
    return keys


def bundle_row_keys(config: "BundleConfig") -> list[RowKey]:
    """The keys of a row of a bundle's predictions; see `row_keys`.

    Args:
        config: of the bundle.
    """
    labels = {name: config.labels(name).names for name in config.classifiers}
    measured = [name for name, spec in config.classifiers.items() if spec.measured]
    return row_keys(
        labels,
        lesion=config.segmenter is not None,
        undefined=measured,
        sets=config.sets is not None,
        target=config.target,
    )


def file_rows(name: str, predicted: "Sequence[Prediction] | DataError") -> list[Row]:
    """The rows of one file: one a frame, in order, or one that holds the error.

    Args:
        name: of the file.
        predicted: of each frame; or why the file cannot be read.
    """
    if isinstance(predicted, DataError):
        return [{"image": name, "error": str(predicted)}]
    several = len(predicted) > 1
    return [
        {"image": name, **({"frame": number} if several else {}), **prediction.to_json()}
        for number, prediction in enumerate(predicted)
    ]


def row_fields(config: "BundleConfig") -> Mapping[str, type]:
    """Columns of a flat row of a bundle's predictions, in order, with their types; see `flatten`.

    Args:
        config: of the bundle.
    """
    return {column: kind for key in bundle_row_keys(config) for column, kind in key.columns.items()}


def flatten(row: Mapping[str, Any], config: "BundleConfig") -> Row:
    """A row with one scalar or string a column, without outline and saliency; None for what the row does not have.

    Args:
        row: as JSON holds it.
        config: of the bundle that it comes from.
    """
    flat: Row = {}
    for key in bundle_row_keys(config):
        values = key.split(row[key.name]) if key.name in row else (None for _ in key.columns)
        flat |= zip(key.columns, values, strict=True)
    return flat


def _single(name: str, kind: type, description: str, fill: "Callable[[Prediction], Any] | None" = None) -> RowKey:
    """A key whose value is one column."""
    return RowKey(name, kind, description, fill, {name: kind}, lambda value: (value,))


def _given() -> RowKey:
    return RowKey(
        "given",
        list[str],
        "What was given and not predicted: `mask`, a network (its class), or its name with `_saliency`; else absent.",
        lambda one: list(one.given) or None,
        {"given": str},
        lambda given: ("; ".join(given),),
        optional=True,
    )


def _lesion() -> RowKey:
    columns = {
        "lesion_found": bool,
        "lesion_share": float,
        "box_x": int,
        "box_y": int,
        "box_width": int,
        "box_height": int,
    }

    def fill(one: "Prediction") -> Row:
        assert one.lesion is not None
        return {
            "found": bool(one.lesion.mask.any()),
            "share": round(float(one.lesion.mask.mean()), 6),
            "box": list(one.lesion.box),
            "outline": one.lesion.outline.tolist(),
        }

    return RowKey(
        "lesion",
        LesionRow,
        "Where the lesion is.",
        fill,
        columns,
        lambda lesion: (lesion["found"], lesion["share"], *lesion["box"]),
    )


def _result(name: str, labels: tuple[str, ...], *, undefined: bool) -> RowKey:
    """The prediction of one classifier."""

    def fill(one: "Prediction") -> Row:
        if not one[name].defined:
            return {"prediction": None, "probabilities": None}
        rounded = {label: round(value, 6) for label, value in one[name].probabilities.items()}
        return {"prediction": one[name].prediction, "probabilities": rounded}

    return RowKey(
        name,
        _class_row(name, labels, undefined=undefined),
        f"Answer of the network {name}.",
        fill,
        {name: str, **{f"{name}_{label}": float for label in labels}},
        lambda answer: (answer["prediction"], *((answer["probabilities"] or {}).get(label) for label in labels)),
    )


@cache
def _class_row(name: str, labels: tuple[str, ...], *, undefined: bool) -> type[BaseModel]:
    label: Any = Literal[labels]
    shares: Any = dict[label, _Share]
    null = " null where it is undefined." if undefined else ""
    return create_model(
        f"{name}-answer",
        __config__=STRICT,
        prediction=(label | None if undefined else label, Field(description=f"The predicted class.{null}")),
        probabilities=(
            shares | None if undefined else shares,
            Field(description=f"By class; calibrated where the bundle says how.{null}"),
        ),
    )


def _set(*, optional: bool) -> RowKey:
    absent = " Absent where the answer is undefined." if optional else ""
    return RowKey(
        "set",
        list[str],
        "Classes of the target that hold the truth with the coverage that the bundle states; there may be none."
        + absent,
        lambda one: list(one.set or ()),
        {"set": str},
        lambda classes: ("; ".join(classes),),
        optional=optional,
    )


def _warnings() -> RowKey:
    return RowKey(
        "warnings",
        list[str],
        "Other reasons not to rely on the answer.",
        lambda one: list(one.warnings),
        {"warnings": str},
        lambda warnings: ("; ".join(warnings),),
    )


def _saliency(name: str) -> RowKey:
    """The saliency of a classifier's prediction; not a column of a table."""
    return RowKey(
        saliency_name(name),
        list[list[_Share]],
        f"Where the class that {name} predicts comes from, at the network's own grid.",
        lambda one: np.round(one[name].saliency, 4).astype(float).tolist(),
        {},
        lambda _: (),
    )
