"""When not to rely on a prediction: calibration, abstention, and images out of distribution.

NumPy and OpenCV alone, so that every engine gives the same warnings.
"""

from collections.abc import Mapping
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from selcn.config import Section
from selcn.evaluation.recalibration import rescale

NO_LESION = "no lesion found"
BLURRED = "blurred"
NOISY = "noisier or sharper than the training images"
EXPOSURE = "darker or brighter than the training images"
OUT_OF_DISTRIBUTION = "unlike the training images"
UNDEFINED = "undefined, the lesion has no region to mirror"
"""Behind a network's name: of one that measures symmetry, where a mask is empty, a line or too small."""


class ImageReliability(Section):
    """The usual range of sharpness and brightness of the prepared training images.

    Attributes:
        sharpness: lower bound; see `sharpness`.
        brightness: lower and upper bound; see `brightness`.
        sharpest: upper bound of the sharpness, which noise raises; None where it was not measured.
    """

    sharpness: float
    brightness: tuple[float, float]
    sharpest: float | None = None


class SetThresholds(Section):
    """Prediction sets of one network, see `selcn.evaluation.conformal`.

    Attributes:
        coverage: share of the images of each class of new lesions whose set holds the truth.
        lowest: calibrated probability from which on a class is in the set, by class.
    """

    coverage: Annotated[float, Field(gt=0, lt=1)]
    lowest: dict[str, float]

    def of(self, probabilities: Mapping[str, float]) -> tuple[str, ...]:
        """The classes in an image's set; there may be none.

        Args:
            probabilities: calibrated, by class.
        """
        return tuple(name for name, value in probabilities.items() if value >= self.lowest[name])


class EarlierLayer(Section):
    """Distance of features at the stage before the last one, see `selcn.models.features.watch_earlier`.

    Attributes:
        channels: of its features.
        components: number of directions along which each member's distance is measured.
    """

    channels: int
    components: tuple[int, ...]


class NetworkReliability(Section):
    """Calibration, abstention and usual feature distance of one network.

    Attributes:
        temperature: all logits are divided by it (Guo et al. 2017).
        bias: added to the logit of each class after that, see `selcn.evaluation.recalibration`; empty for none.
        abstain_below: threshold on the calibrated probability of the predicted class, below which the network abstains.
        coverage: share of the out-of-fold images at or above the threshold.
        distance: upper bound of the usual distance of features, see `selcn.models.features`.
        components: number of directions along which each member's distance is measured.
        sets: of its prediction sets; None where a class has too few lesions for their coverage.
        false_alarms: share of the images of new lesions that each warning is fitted to be given of; None where that
            was not recorded.
        earlier: of the stage before, which no warning uses; None where it was not measured.
    """

    temperature: Annotated[float, Field(gt=0)]
    bias: tuple[float, ...] = ()
    abstain_below: float
    coverage: float
    distance: float
    components: tuple[int, ...]
    sets: SetThresholds | None = None
    false_alarms: float | None = None
    earlier: EarlierLayer | None = None

    def recalibrate(self, probabilities: np.ndarray) -> np.ndarray:
        """Recalibrated probabilities, float64 (N, C).

        Args:
            probabilities: of the network as it predicts them (N, C).
        """
        return rescale(probabilities.astype(np.float64), self.temperature, self.bias)


class Reliability(Section):
    """Measured out of fold on the run that a bundle comes from; the test subset is not used.

    Attributes:
        image: of the images.
        networks: of the networks for which it was measured, by name.
    """

    image: ImageReliability
    networks: dict[str, NetworkReliability]

    def warnings(self, image: np.ndarray, network: str, distance: float, *, lesion: bool | None) -> tuple[str, ...]:
        """Reasons not to rely on a prediction.

        Args:
            image: prepared, uint8 RGB (H, W, 3).
            network: name of the predicting network.
            distance: of its features from those of training images.
            lesion: whether a lesion was found; None where there is no segmentation network.
        """
        low, high = self.image.brightness
        measured, sharp = self.networks.get(network), sharpness(image)
        found = {
            NO_LESION: lesion is False,
            BLURRED: sharp < self.image.sharpness,
            NOISY: self.image.sharpest is not None and sharp > self.image.sharpest,
            EXPOSURE: not low <= brightness(image) <= high,
            OUT_OF_DISTRIBUTION: measured is not None and distance > measured.distance,
        }
        return tuple(name for name, applies in found.items() if applies)


def sharpness(image: np.ndarray) -> float:
    """ln(variance of the Laplacian + 0.001) of the grey image, which blur lowers (Pech-Pacheco et al. 2000).

    Args:
        image: uint8 RGB (H, W, 3).
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(np.log(cv2.Laplacian(grey, cv2.CV_64F).var() + 1e-3))


def brightness(image: np.ndarray) -> float:
    """Mean grey level, 0 to 1.

    Args:
        image: uint8 RGB (H, W, 3).
    """
    return float(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean() / 255)
