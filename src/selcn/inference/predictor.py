"""The one prediction path, of the commands, the report and Python; torch is loaded only where it is asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from selcn.data.imaging.read import read_image
from selcn.inference.bundle import BundleConfig, Precision, read_export
from selcn.inference.result import Outputs, Prediction, describe, prepare

EngineName = Literal["torch", "onnx", "onnx-int8"]


class Engine(Protocol):
    """What runs a bundle's networks."""

    def __call__(self, prepared: np.ndarray) -> Outputs:
        """What is said of prepared pictures, uint8 RGB (N, H, W, 3)."""


class Predictor:
    """A bundle ready to predict.

    Args:
        config: of the bundle.
        engine: runs its networks.

    Example:
        >>> predictor = load("runs/demo/bundle")
        >>> pictures = [np.full((60, 80, 3), 200, np.uint8), np.full((450, 600, 3), 120, np.uint8)]
        >>> [prediction.mask.shape for prediction in predictor.predict_batch(pictures)]
        [(60, 80), (450, 600)]
    """

    def __init__(self, config: BundleConfig, engine: Engine) -> None:
        self.config, self.engine = config, engine

    def predict(self, image: str | Path | np.ndarray) -> Prediction:
        """Predict one picture: a file, or uint8 RGB (H, W, 3).

        Raises:
            DataError: the file is missing or no picture.
        """
        picture = image if isinstance(image, np.ndarray) else read_image(Path(image))
        return self.predict_batch([picture])[0]

    def predict_batch(self, pictures: Sequence[np.ndarray]) -> list[Prediction]:
        """Predict uint8 RGB pictures (H, W, 3), each of its own size."""
        return self.predict_prepared(
            np.stack([prepare(picture, self.config) for picture in pictures]),
            [(picture.shape[1], picture.shape[0]) for picture in pictures],
        )

    def predict_prepared(self, prepared: np.ndarray, sizes: Sequence[tuple[int, int]]) -> list[Prediction]:
        """Predict pictures as `selcn.inference.result.prepare` makes them, uint8 RGB (N, H, W, 3).

        Args:
            prepared: the pictures.
            sizes: width and height of each before that.
        """
        outputs = self.engine(prepared)
        return [describe(self.config, prepared[row], outputs, row, size) for row, size in enumerate(sizes)]


def load(bundle: str | Path, device: str = "cpu", *, engine: EngineName = "torch") -> Predictor:
    """Verify and load a bundle.

    Args:
        bundle: its folder.
        device: where PyTorch runs it.
        engine: `torch`, or `onnx` or `onnx-int8` where `selcn export` was run; those are faster on a CPU and load no
            torch.

    Raises:
        RunError: no bundle, it was not exported, or a file of it is missing or changed.
        ConfigError: there is no such device, or ONNX Runtime is not installed.

    Example:
        >>> predictor = load("runs/demo/bundle")
        >>> predictor.config.diagnosis_labels
        ('nv', 'mel', 'bkl', 'bcc', 'akiec', 'vasc', 'df')
    """
    if engine != "torch":
        from selcn.inference.onnx.engine import OnnxEngine

        config, graphs = read_export(Path(bundle), Precision(engine))
        return Predictor(config, OnnxEngine(graphs))
    from selcn.inference.assembly import read_bundle
    from selcn.inference.torch_engine import TorchEngine

    config, ensemble = read_bundle(Path(bundle))
    return Predictor(config, TorchEngine(ensemble, device))
