"""When not to rely on a prediction: calibration, abstention, and images out of the training distribution.

NumPy and OpenCV alone, so that every engine answers the same.
"""

from typing import Annotated

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

NO_LESION = "no lesion found"
BLURRED = "blurred"
EXPOSURE = "darker or brighter than the training images"
OUT_OF_DISTRIBUTION = "unlike the training images"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageReliability(_Strict):
    """The usual range of what the prepared training images look like.

    Attributes:
        sharpness: lowest that was usual; see `sharpness`.
        brightness: lowest and highest that were usual; see `brightness`.
    """

    sharpness: float
    brightness: tuple[float, float]


class NetworkReliability(_Strict):
    """What was measured of one network.

    Attributes:
        temperature: all logits are divided by it (Guo et al. 2017).
        abstain_below: calibrated probability of the most probable class below which it is not to be relied on.
        coverage: share of the out-of-fold images at or above it.
        distance: highest distance of features that was usual.
        components: directions of features that each member's distance is measured along.
    """

    temperature: Annotated[float, Field(gt=0)]
    abstain_below: float
    coverage: float
    distance: float
    components: tuple[int, ...]


class Reliability(_Strict):
    """Measured out of fold on the run that a bundle comes from; the test subset is never looked at.

    Attributes:
        image: of the images.
        networks: of the networks for which it was measured, by name.
    """

    image: ImageReliability
    networks: dict[str, NetworkReliability]

    def warnings(self, image: np.ndarray, network: str, distance: float, *, lesion: bool | None) -> tuple[str, ...]:
        """What speaks against relying on a prediction.

        Args:
            image: prepared, uint8 RGB (H, W, 3).
            network: that answers.
            distance: of its features.
            lesion: whether any was found; None where no network looks for it.
        """
        low, high = self.image.brightness
        measured = self.networks.get(network)
        found = {
            NO_LESION: lesion is False,
            BLURRED: sharpness(image) < self.image.sharpness,
            EXPOSURE: not low <= brightness(image) <= high,
            OUT_OF_DISTRIBUTION: measured is not None and distance > measured.distance,
        }
        return tuple(name for name, applies in found.items() if applies)


def sharpness(image: np.ndarray) -> float:
    """Logarithm of an image's (H, W, 3) variance of Laplacian, which blur lowers (Pech-Pacheco et al. 2000)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(np.log(cv2.Laplacian(grey, cv2.CV_64F).var() + 1e-3))


def brightness(image: np.ndarray) -> float:
    """Mean grey level of an image, uint8 RGB (H, W, 3), 0 to 1."""
    return float(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean() / 255)
