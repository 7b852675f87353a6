"""When not to trust an answer: calibration, abstention, and pictures unlike those that were trained on.

NumPy and OpenCV alone, so that every engine says the same.
"""

from typing import Annotated

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

NO_LESION = "no lesion found"
BLURRED = "blurred"
EXPOSURE = "darker or brighter than the training pictures"
UNLIKE = "unlike the training pictures"


class Safeguards(BaseModel):
    """Measured on the validation folds of the run that a bundle comes from; the test part is never looked at.

    Attributes:
        temperature: all diagnosis logits are divided by it (Guo et al. 2017).
        abstain_below: calibrated probability of the likeliest diagnosis below which none is to be relied on.
        coverage: share of the validation images that were at or above it.
        sharpness: lowest that was usual; see `sharpness`.
        brightness: lowest and highest that were usual; see `brightness`.
        distance: highest distance of features that was usual.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: Annotated[float, Field(gt=0)]
    abstain_below: float
    coverage: float
    sharpness: float
    brightness: tuple[float, float]
    distance: float

    def warnings(self, image: np.ndarray, distance: float, *, lesion: bool) -> tuple[str, ...]:
        """What speaks against relying on an answer.

        Args:
            image: prepared, uint8 RGB (H, W, 3).
            distance: of its features.
            lesion: whether any was found.
        """
        low, high = self.brightness
        found = {
            NO_LESION: not lesion,
            BLURRED: sharpness(image) < self.sharpness,
            EXPOSURE: not low <= brightness(image) <= high,
            UNLIKE: distance > self.distance,
        }
        return tuple(name for name, applies in found.items() if applies)


def sharpness(image: np.ndarray) -> float:
    """Logarithm of the grey picture's (H, W, 3) variance of Laplacian; blur lowers it (Pech-Pacheco et al. 2000)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(np.log(cv2.Laplacian(grey, cv2.CV_64F).var() + 1e-3))


def brightness(image: np.ndarray) -> float:
    """Mean of the grey picture (H, W, 3), 0 to 1."""
    return float(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean() / 255)
