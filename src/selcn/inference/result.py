"""What is said of one picture, made from the networks' outputs; the same for every engine, without torch."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from selcn.data.imaging.masks import LESION_THRESHOLD, grown_boxes, largest_regions
from selcn.data.imaging.prepare import prepare_image, resize
from selcn.evaluation.calibration import rescale
from selcn.inference.bundle import BundleConfig

Floats = npt.NDArray[np.float32]


class Outputs(NamedTuple):
    """What an engine says of N prepared pictures.

    Attributes:
        lesion: probability that a pixel is lesion (N, H, W).
        symmetry: class probabilities (N, 2 or 3).
        symmetry_saliency: (N, h, w) in [0, 1].
        diagnosis: class probabilities (N, 7), not calibrated.
        diagnosis_saliency: (N, h', w') in [0, 1].
        distance: of features from those of training pictures (N,).
    """

    lesion: Floats
    symmetry: Floats
    symmetry_saliency: Floats
    diagnosis: Floats
    diagnosis_saliency: Floats
    distance: Floats


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the cascade says of one picture; lengths are pixels of the picture itself.

    Attributes:
        mask: bool (H, W), the lesion at the picture's own size.
        outline: int (P, 2), x and y along the border of the largest lesion region; empty where no lesion was found.
        box: x, y, width, height around that region, grown by 20 % on every side; the whole picture where none.
        symmetry: probability by class name.
        symmetry_saliency: float32 (h, w) in [0, 1] at the network's own grid.
        diagnosis: calibrated probability by class name.
        diagnosis_saliency: float32 (h', w') in [0, 1].
        abstain: whether the likeliest diagnosis is too improbable to rely on.
        warnings: what else speaks against relying on it, of `selcn.inference.reliability`.
        distance: of the picture's features from those of training pictures; about 1 is usual.

    Example:
        >>> import selcn
        >>> prediction = selcn.load("runs/demo/bundle").predict("runs/demo/data/phantom/images/PH_0000001.png")
        >>> prediction.mask.dtype, len(prediction.box)
        (dtype('bool'), 4)
        >>> list(prediction.symmetry)
        ['asymmetric', 'symmetric']
        >>> round(sum(prediction.diagnosis.values()), 4)
        1.0
    """

    mask: npt.NDArray[np.bool_]
    outline: npt.NDArray[np.int32]
    box: tuple[int, int, int, int]
    symmetry: dict[str, float]
    symmetry_saliency: Floats
    diagnosis: dict[str, float]
    diagnosis_saliency: Floats
    abstain: bool
    warnings: tuple[str, ...]
    distance: float

    def to_json(self) -> dict[str, Any]:
        """Everything but the mask's pixels, as plain numbers."""
        return {
            "width": self.mask.shape[1],
            "height": self.mask.shape[0],
            "lesion": {
                "found": bool(self.mask.any()),
                "share": round(float(self.mask.mean()), 6),
                "box": list(self.box),
                "outline": self.outline.tolist(),
            },
            "symmetry": {"prediction": likeliest(self.symmetry), "probabilities": _rounded(self.symmetry)},
            "diagnosis": {"prediction": likeliest(self.diagnosis), "probabilities": _rounded(self.diagnosis)},
            "abstain": self.abstain,
            "warnings": list(self.warnings),
            "distance": round(self.distance, 4),
            "symmetry_saliency": np.round(self.symmetry_saliency, 4).astype(float).tolist(),
            "diagnosis_saliency": np.round(self.diagnosis_saliency, 4).astype(float).tolist(),
        }


def prepare(picture: np.ndarray, config: BundleConfig) -> np.ndarray:
    """A uint8 RGB picture (H, W, 3) as the networks of a bundle see it."""
    return prepare_image(picture, config.prepare.size, hair=config.prepare.hair)


def describe(
    config: BundleConfig, prepared: np.ndarray, outputs: Outputs, row: int, size: tuple[int, int]
) -> Prediction:
    """What is said of one picture.

    Args:
        config: of the bundle.
        prepared: the picture as the networks saw it, uint8 RGB.
        outputs: of an engine.
        row: which of its pictures.
        size: width and height of the picture itself.
    """
    mask = resize(outputs.lesion[row], size) > LESION_THRESHOLD
    region = largest_regions(mask[None])
    x, y, width, height = grown_boxes(region)[0].tolist()
    guards, said = config.safeguards, outputs.diagnosis[row : row + 1].astype(np.float64)
    diagnosis = rescale(said, guards.temperature)[0] if guards else said[0]
    distance = float(outputs.distance[row])
    return Prediction(
        mask=mask,
        outline=_outline(region[0]),
        box=(x, y, width, height),
        symmetry=dict(zip(config.symmetry_labels, outputs.symmetry[row].tolist(), strict=True)),
        symmetry_saliency=outputs.symmetry_saliency[row],
        diagnosis=dict(zip(config.diagnosis_labels, diagnosis.tolist(), strict=True)),
        diagnosis_saliency=outputs.diagnosis_saliency[row],
        abstain=bool(guards and diagnosis.max() < guards.abstain_below),
        warnings=guards.warnings(prepared, distance, lesion=bool(mask.any())) if guards else (),
        distance=distance,
    )


def likeliest(probabilities: dict[str, float]) -> str:
    """The name of the most probable class."""
    return max(probabilities, key=probabilities.__getitem__)


def _rounded(probabilities: dict[str, float]) -> dict[str, float]:
    return {name: round(probability, 6) for name, probability in probabilities.items()}


def _outline(region: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    contours, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    found = max(contours, key=cv2.contourArea)[:, 0] if contours else np.empty((0, 2))
    return found.astype(np.int32)
