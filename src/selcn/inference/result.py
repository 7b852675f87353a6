"""What is predicted of one image: one typed result for Python, JSON rows, tables, HTTP and overlays; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, create_model

from selcn.data.imaging.images import prepare_image, resize
from selcn.data.imaging.masks import LESION_THRESHOLD, grown_boxes, largest_regions
from selcn.evaluation.temperature import rescale
from selcn.inference.bundle import BundleConfig

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Outputs:
    """What an engine makes of N prepared images.

    Attributes:
        lesion: probability that a pixel is lesion (N, H, W); None where there is no segmentation network.
        probabilities: class probabilities (N, C), not calibrated, by the classifier's name.
        saliency: (N, h, w) in [0, 1], by the classifier's name.
        distance: of the target's features from those of training images (N,).
    """

    lesion: Floats | None
    probabilities: dict[str, Floats]
    saliency: dict[str, Floats]
    distance: Floats


@dataclass(frozen=True, eq=False)
class Lesion:
    """Where the lesion is; lengths are pixels of the image itself.

    Attributes:
        mask: bool (H, W) at the image's own size.
        outline: int (P, 2), x and y along the border of the largest lesion region; empty where no lesion was found.
        box: x, y, width, height around that region, grown by 20 % on every side; the whole image where none.
    """

    mask: npt.NDArray[np.bool_]
    outline: npt.NDArray[np.int32]
    box: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class ClassResult:
    """The answer of one classification network.

    Attributes:
        probabilities: by class name, in the label set's order; calibrated where the bundle says how.
        saliency: where the predicted class comes from, float32 (h, w) in [0, 1] at the network's own grid.
    """

    probabilities: dict[str, float]
    saliency: Floats

    @property
    def prediction(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=self.probabilities.__getitem__)


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a bundle predicts of one image.

    Attributes:
        size: width and height of the image.
        target: name of the network whose answer the others serve.
        lesion: where it is; None of a bundle without segmentation network.
        results: of each classification network, by name; `prediction["symmetry"]` is short for that of symmetry.
        abstain: whether the target's most probable class is too improbable to rely on.
        warnings: what else speaks against relying on it, of `selcn.inference.reliability`.
        distance: of the image's features from those of training images; about 1 is usual.

    Example:
        >>> import selcn
        >>> prediction = selcn.load("runs/demo/bundle").predict("runs/demo/data/phantom/images/PH_0000001.png")
        >>> prediction.lesion.mask.dtype, len(prediction.lesion.box)
        (dtype('bool'), 4)
        >>> list(prediction["symmetry"].probabilities)
        ['asymmetric', 'symmetric']
        >>> round(sum(prediction["diagnosis"].probabilities.values()), 4)
        1.0
    """

    size: tuple[int, int]
    target: str
    lesion: Lesion | None
    results: dict[str, ClassResult]
    abstain: bool
    warnings: tuple[str, ...]
    distance: float

    def __getitem__(self, network: str) -> ClassResult:
        """The answer of one classification network.

        Raises:
            KeyError: the bundle has none of that name.
        """
        return self.results[network]

    def to_json(self) -> dict[str, Any]:
        """Everything but the mask's pixels, as plain numbers; see `row_fields`."""
        row: dict[str, Any] = {"width": self.size[0], "height": self.size[1]}
        if self.lesion is not None:
            row["lesion"] = {
                "found": bool(self.lesion.mask.any()),
                "share": round(float(self.lesion.mask.mean()), 6),
                "box": list(self.lesion.box),
                "outline": self.lesion.outline.tolist(),
            }
        for name, one in self.results.items():
            rounded = {label: round(probability, 6) for label, probability in one.probabilities.items()}
            row[name] = {"prediction": one.prediction, "probabilities": rounded}
        row |= {"abstain": self.abstain, "warnings": list(self.warnings), "distance": round(self.distance, 4)}
        maps = {name: np.round(one.saliency, 4).astype(float).tolist() for name, one in self.results.items()}
        return row | {f"{name}_saliency": saliency for name, saliency in maps.items()}


def prepare(image: np.ndarray, config: BundleConfig) -> np.ndarray:
    """An image, uint8 RGB (H, W, 3), as the networks of a bundle see it, uint8 RGB (h, w, 3)."""
    return prepare_image(image, config.prepare.size, hair=config.prepare.hair)


def describe(
    config: BundleConfig, prepared: np.ndarray, outputs: Outputs, row: int, size: tuple[int, int]
) -> Prediction:
    """The prediction of one image.

    Args:
        config: of the bundle.
        prepared: the image as the networks saw it, uint8 RGB (h, w, 3).
        outputs: of an engine.
        row: which of its images.
        size: width and height of the image itself.
    """
    lesion = None if outputs.lesion is None else find_lesion(resize(outputs.lesion[row], size) > LESION_THRESHOLD)
    results = {
        name: _result(config, name, probabilities[row], outputs.saliency[name][row])
        for name, probabilities in outputs.probabilities.items()
    }
    reliability, distance = config.reliability, float(outputs.distance[row])
    measured = reliability.networks.get(config.target) if reliability else None
    answer = results.get(config.target)
    found = None if lesion is None else bool(lesion.mask.any())
    return Prediction(
        size=size,
        target=config.target,
        lesion=lesion,
        results=results,
        abstain=bool(measured and answer and max(answer.probabilities.values()) < measured.abstain_below),
        warnings=reliability.warnings(prepared, config.target, distance, lesion=found) if reliability else (),
        distance=distance,
    )


def find_lesion(mask: npt.NDArray[np.bool_]) -> Lesion:
    """Outline and box of a mask, bool (H, W)."""
    region = largest_regions(mask[None])
    x, y, width, height = grown_boxes(region)[0].tolist()
    return Lesion(mask, _outline(region[0]), (x, y, width, height))


def _result(config: BundleConfig, name: str, probabilities: Floats, saliency: Floats) -> ClassResult:
    measured = config.reliability.networks.get(name) if config.reliability else None
    values = probabilities.tolist()
    if measured:
        values = rescale(probabilities[None].astype(np.float64), measured.temperature)[0].tolist()
    return ClassResult(dict(zip(config.labels(name).names, values, strict=True)), saliency)


def _outline(region: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    contours, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    found = max(contours, key=cv2.contourArea)[:, 0] if contours else np.empty((0, 2))
    return found.astype(np.int32)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LesionRow(_Strict):
    """Where the lesion is, in the image's own pixels."""

    found: bool
    share: float = Field(ge=0, le=1, description="Of the image.")
    box: tuple[int, int, int, int] = Field(description="x, y, width, height; grown by 20 % on every side.")
    outline: list[tuple[int, int]] = Field(description="x and y along the border of the largest lesion region.")


class ClassRow(_Strict):
    """The answer of one network."""

    prediction: str = Field(description="The most probable class.")
    probabilities: dict[str, float] = Field(description="By class.")


def row_model(config: BundleConfig) -> type[BaseModel]:
    """The type of a JSON row of a bundle's predictions; of an image that cannot be read only `image` and `error`."""
    fields: dict[str, Any] = {
        "image": (str, Field(description="The name it was given under.")),
        "frame": (int | None, Field(None, description="Only of a file with several.")),
        "error": (str | None, Field(None, description="Why it cannot be read.")),
        "width": (int | None, None),
        "height": (int | None, None),
    }
    if config.segmenter:
        fields["lesion"] = (LesionRow | None, None)
    for name in config.classifiers:
        calibrated = config.reliability is not None and name in config.reliability.networks
        fields[name] = (ClassRow | None, Field(None, description="Calibrated." if calibrated else "Not calibrated."))
    fields |= {
        "abstain": (bool | None, Field(None, description="The most probable class is too improbable to rely on.")),
        "warnings": (list[str] | None, Field(None, description="What else speaks against relying on it.")),
        "distance": (float | None, Field(None, description="From the training images; about 1 is usual.")),
    }
    for name in config.classifiers:
        maps = Field(None, description="Where the predicted class comes from, 0 to 1.")
        fields[f"{name}_saliency"] = (list[list[float]] | None, maps)
    fields |= dict.fromkeys(FILES, (str | None, None))
    return create_model("Row", __base__=_Strict, **fields)


def row_fields(config: BundleConfig) -> Mapping[str, type]:
    """Columns of a flat row of a bundle's predictions, in order, with their types; see `flatten`."""
    fields: dict[str, type] = {"image": str, "frame": int, "error": str, "width": int, "height": int}
    if config.segmenter:
        fields |= {"lesion_found": bool, "lesion_share": float}
        fields |= dict.fromkeys(_BOX, int)
    for name in config.classifiers:
        fields[name] = str
        fields |= {f"{name}_{label}": float for label in config.labels(name).names}
    fields |= {"abstain": bool, "warnings": str, "distance": float}
    return fields | dict.fromkeys(FILES, str)


_BOX = ("box_x", "box_y", "box_width", "box_height")
FILES = ("overlay", "mask", "segmentation", "segmentation_error")
"""Keys of a row that name what was written beside it, or say why it was not."""


def flatten(row: Mapping[str, Any], config: BundleConfig) -> dict[str, Any]:
    """A JSON row without its outline and maps, every value under a key of its own; of an error, that alone."""
    flat = {name: row.get(name) for name in ("image", "frame", "error", "width", "height")}
    if "error" in row:
        return flat
    if config.segmenter:
        lesion = row["lesion"]
        flat |= {"lesion_found": lesion["found"], "lesion_share": lesion["share"]}
        flat |= dict(zip(_BOX, lesion["box"], strict=True))
    for name in config.classifiers:
        flat[name] = row[name]["prediction"]
        flat |= {f"{name}_{label}": value for label, value in row[name]["probabilities"].items()}
    flat |= {"abstain": row["abstain"], "warnings": "; ".join(row["warnings"]), "distance": row["distance"]}
    return flat | {name: row.get(name) for name in FILES}
