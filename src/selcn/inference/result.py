"""The prediction of one image: one typed result for Python, JSON rows, tables, HTTP and overlays; no torch."""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from selcn.data.imaging.masks import LESION_THRESHOLD, largest_regions, region_boxes
from selcn.data.imaging.prepare import prepare_image, resize
from selcn.inference.bundle import BundleConfig
from selcn.inference.given import NOTHING, Floats, Given
from selcn.inference.reliability import UNDEFINED
from selcn.inference.row import row_keys

NO_CLASS = "undefined"
"""What is predicted where a network has no answer."""


@dataclass(frozen=True, eq=False)
class Outputs:
    """The outputs of an engine for N prepared images.

    Attributes:
        lesion: probability that a pixel is lesion (N, H, W), 0 or 1 where a mask is given; None where there is no
            segmentation network.
        probabilities: class probabilities as predicted (N, C), not calibrated, by the classifier's name.
        saliency: of the given or else the predicted class (N, h, w) in [0, 1], by the classifier's name.
        distance: of the target's features from those of training images (N,).
    """

    lesion: Floats | None
    probabilities: dict[str, Floats]
    saliency: dict[str, Floats]
    distance: Floats


@dataclass(frozen=True, eq=False)
class Lesion:
    """The lesion's mask, outline and box, in pixels of the original image.

    Attributes:
        mask: bool (H, W) at the image's own size.
        outline: int (P, 2), x and y along the border of the largest lesion region; empty where no lesion was found.
        box: x, y, width, height around that region, extended on every side by 20 % of its own; the whole image where
            there is none.
    """

    mask: npt.NDArray[np.bool_]
    outline: npt.NDArray[np.int32]
    box: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class ClassResult:
    """The prediction of one classification network.

    Attributes:
        probabilities: by class name, in the label set's order; calibrated where the bundle can; 1 for a given class;
            NaN where the network's answer is undefined.
        saliency: given, or of the predicted or given class, float32 (h, w) in [0, 1] at the network's own grid.
        predicted: the network's own most probable class, before calibration; None where that is the most probable one
            after it.
    """

    probabilities: dict[str, float]
    saliency: Floats
    predicted: str | None = None

    @property
    def defined(self) -> bool:
        """Whether there is an answer: a network that measures symmetry has none without a region to mirror."""
        return not any(map(math.isnan, self.probabilities.values()))

    @property
    def prediction(self) -> str:
        """The predicted class; `undefined` where there is no answer.

        It is the class of the highest probability before calibration. Of a network that was trained with class weights
        that weighs a missed rare class as much as a missed frequent one, while the calibrated probabilities tell how
        frequent each is.
        """
        if not self.defined:
            return NO_CLASS
        return self.predicted or max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def confidence(self) -> float:
        """Probability of the predicted class; NaN where there is no answer."""
        return self.probabilities.get(self.prediction, math.nan)


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction of a bundle for one image.

    Attributes:
        size: width and height of the image.
        target: name of the network that the others lead to.
        lesion: mask, outline and box; None for a bundle without segmentation network.
        results: of each classification network, by name; `prediction["symmetry"]` is short for that of symmetry.
        abstain: whether the target's predicted class is too improbable to rely on, or undefined.
        warnings: other reasons not to rely on it, of `selcn.inference.reliability`.
        distance: of the image's features from those of training images; about 1 is usual, 0 where it was not measured.
        given: names of the results that were given: `mask`, `symmetry`, `symmetry_saliency`.
        set: classes of the target that together hold the truth with the coverage that the bundle states; None where
            it has no prediction sets.

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
    given: tuple[str, ...] = ()
    set: tuple[str, ...] | None = None

    def __getitem__(self, network: str) -> ClassResult:
        """The prediction of one classification network.

        Args:
            network: its name.

        Raises:
            KeyError: the bundle has none of that name.
        """
        return self.results[network]

    def to_json(self) -> dict[str, Any]:
        """Everything but the mask's pixels, as plain JSON values; `selcn.inference.row` declares the keys."""
        labels = {name: list(one.probabilities) for name, one in self.results.items()}
        keys = row_keys(labels, lesion=self.lesion is not None, sets=self.set is not None)
        values = {key.name: key.fill(self) for key in keys if key.fill}
        return {name: value for name, value in values.items() if value is not None}


def prepare(image: np.ndarray, config: BundleConfig) -> np.ndarray:
    """An image prepared for the networks of a bundle, uint8 RGB (h, w, 3).

    Args:
        image: uint8 RGB (H, W, 3).
        config: of the bundle.
    """
    return prepare_image(image, config.prepare.size, hair=config.prepare.hair)


def describe(
    config: BundleConfig,
    prepared: np.ndarray,
    outputs: Outputs,
    row: int,
    size: tuple[int, int],
    given: Given = NOTHING,
) -> Prediction:
    """The prediction of one image.

    Args:
        config: of the bundle.
        prepared: the prepared image, uint8 RGB (h, w, 3).
        outputs: of an engine, for a batch that holds it.
        row: number of the image in the batch, from 0.
        size: width and height of the original image.
        given: the results that the engine was given of the image, checked by `selcn.inference.given.check_given`.
    """
    lesion = None if outputs.lesion is None else find_lesion(_mask(outputs.lesion[row], size, given))
    results = {
        name: class_result(config, name, probabilities[row], outputs.saliency[name][row], given.classes.get(name))
        for name, probabilities in outputs.probabilities.items()
    }
    reliability, distance = config.reliability, float(outputs.distance[row])
    measured = reliability.networks.get(config.target) if reliability else None
    answer = results.get(config.target)
    found = None if lesion is None else bool(lesion.mask.any())
    undefined = tuple(f"{name} {UNDEFINED}" for name, one in results.items() if not one.defined)
    improbable = measured and answer and answer.confidence < measured.abstain_below
    return Prediction(
        size=size,
        target=config.target,
        lesion=lesion,
        results=results,
        abstain=bool(improbable or (answer and not answer.defined)),
        warnings=(reliability.warnings(prepared, config.target, distance, lesion=found) if reliability else ())
        + undefined,
        distance=distance,
        given=given.names,
        set=_set(config, answer, given.classes.get(config.target)),
    )


def find_lesion(mask: npt.NDArray[np.bool_]) -> Lesion:
    """Outline and box of the largest region of a mask.

    Args:
        mask: bool (H, W).
    """
    region = largest_regions(mask[None])
    x, y, width, height = region_boxes(region)[0].tolist()
    return Lesion(mask, _outline(region[0]), (x, y, width, height))


def _mask(lesion: Floats, size: tuple[int, int], given: Given) -> npt.NDArray[np.bool_]:
    return resize(lesion, size) > LESION_THRESHOLD if given.mask is None else given.mask.astype(bool)


def class_result(
    config: BundleConfig, name: str, probabilities: Floats, saliency: Floats, given: str | None = None
) -> ClassResult:
    """The prediction of one classification network, calibrated where the bundle can.

    Args:
        config: of the bundle.
        name: of the network.
        probabilities: as it predicts them (C,).
        saliency: of the class that it predicts or that is given.
        given: the class that is given; None for none.
    """
    names = config.labels(name).names
    if given is not None:
        return ClassResult({one: float(one == given) for one in names}, saliency)
    measured = config.reliability.networks.get(name) if config.reliability else None
    values = measured.recalibrate(probabilities[None])[0] if measured else probabilities
    return ClassResult(dict(zip(names, values.tolist(), strict=True)), saliency, names[int(probabilities.argmax())])


def _set(config: BundleConfig, answer: ClassResult | None, given: str | None) -> tuple[str, ...] | None:
    sets = config.sets
    if sets is None or answer is None or not answer.defined:
        return None
    return sets.of(answer.probabilities) if given is None else (given,)


def _outline(region: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    contours, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    found = max(contours, key=cv2.contourArea)[:, 0] if contours else np.empty((0, 2))
    return found.astype(np.int32)
