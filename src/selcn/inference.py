"""The one prediction path, used by the commands, by the pipeline's own evaluation and from Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from selcn.bundle import BundleConfig, read_bundle
from selcn.cascade import LESION_THRESHOLD, CascadeOutput, Ensemble
from selcn.data.images import prepare_image, read_image, resize
from selcn.errors import ConfigError
from selcn.masking import largest_region, lesion_boxes


@dataclass(frozen=True)
class Prediction:
    """What the cascade says of one picture; lengths are pixels of the picture itself.

    Attributes:
        mask: bool (H, W), the lesion at the picture's own size.
        outline: int (P, 2), x and y along the border of the largest lesion region; empty where no lesion was found.
        box: x, y, width, height around that region, grown by 20 % on every side; the whole picture where none.
        symmetry: probability by class name.
        symmetry_saliency: float32 (h, w) in [0, 1] at the network's own grid.
        diagnosis: probability by class name.
        diagnosis_saliency: float32 (h', w') in [0, 1].
    """

    mask: np.ndarray
    outline: np.ndarray
    box: tuple[int, int, int, int]
    symmetry: dict[str, float]
    symmetry_saliency: np.ndarray
    diagnosis: dict[str, float]
    diagnosis_saliency: np.ndarray

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
            "symmetry": {"prediction": _likeliest(self.symmetry), "probabilities": self.symmetry},
            "diagnosis": {"prediction": _likeliest(self.diagnosis), "probabilities": self.diagnosis},
            "symmetry_saliency": np.round(self.symmetry_saliency, 4).astype(float).tolist(),
            "diagnosis_saliency": np.round(self.diagnosis_saliency, 4).astype(float).tolist(),
        }


class Predictor:
    """A bundle ready to predict.

    Args:
        config: of the bundle.
        ensemble: its networks.
        device: where they run.

    Raises:
        ConfigError: there is no such device.
    """

    def __init__(self, config: BundleConfig, ensemble: Ensemble, device: str | torch.device = "cpu") -> None:
        self.config = config
        try:
            self.device = torch.device(device)
            self.ensemble = ensemble.to(self.device).eval()
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"device {device}: cannot be used ({str(error).splitlines()[0]}); use cpu") from None
        self.ensemble.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def forward(self, images: Tensor) -> CascadeOutput:
        """Prepared images, uint8 (N, 3, H, W), to the averaged output of all members, on the CPU."""
        output = self.ensemble(as_floats(images.to(self.device)))
        return CascadeOutput(*(part.cpu() for part in output))

    def predict(self, image: str | Path | np.ndarray) -> Prediction:
        """Predict one picture: a file, or uint8 RGB (H, W, 3).

        Raises:
            DataError: the file is missing or no picture.
        """
        picture = image if isinstance(image, np.ndarray) else read_image(Path(image))
        return self.predict_batch([picture])[0]

    def predict_batch(self, pictures: Sequence[np.ndarray]) -> list[Prediction]:
        """Predict uint8 RGB pictures (H, W, 3), each of its own size."""
        prepare = self.config.prepare
        prepared = np.stack([prepare_image(picture, prepare.size, hair=prepare.hair) for picture in pictures])
        output = self.forward(torch.from_numpy(prepared).permute(0, 3, 1, 2))
        return [self._one(output, row, picture.shape[:2]) for row, picture in enumerate(pictures)]

    def _one(self, output: CascadeOutput, row: int, shape: tuple[int, int]) -> Prediction:
        probability = resize(output.lesion[row, 0].numpy(), (shape[1], shape[0]))
        mask = probability > LESION_THRESHOLD
        region = largest_region(torch.from_numpy(mask)[None, None])
        x, y, width, height = lesion_boxes(region)[0].tolist()
        names = self.config
        return Prediction(
            mask=mask,
            outline=_outline(region[0, 0].numpy()),
            box=(x, y, width, height),
            symmetry=dict(zip(names.symmetry_labels, output.symmetry[row].tolist(), strict=True)),
            symmetry_saliency=output.symmetry_saliency[row, 0].numpy(),
            diagnosis=dict(zip(names.diagnosis_labels, output.diagnosis[row].tolist(), strict=True)),
            diagnosis_saliency=output.diagnosis_saliency[row, 0].numpy(),
        )


def load(bundle: str | Path, device: str | torch.device = "cpu") -> Predictor:
    """Verify and load a bundle.

    Raises:
        RunError: no bundle, or a file of it is missing or changed.
    """
    return Predictor(*read_bundle(Path(bundle)), device=device)


def as_floats(images: Tensor) -> Tensor:
    """uint8 images to float32 in [0, 1], channels last in memory."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def _outline(region: np.ndarray) -> np.ndarray:
    contours, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    return max(contours, key=cv2.contourArea)[:, 0] if contours else np.empty((0, 2), np.int32)


def _likeliest(probabilities: dict[str, float]) -> str:
    return max(probabilities, key=probabilities.__getitem__)
