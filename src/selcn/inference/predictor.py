"""The one prediction path of command line, report and Python; imports torch only for the engine `torch`."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from selcn.data.imaging.read import read_image
from selcn.errors import ConfigError
from selcn.inference.bundle import MANIFEST, BundleConfig, Engine, read_export
from selcn.inference.result import Outputs, Prediction, describe, prepare
from selcn.io.files import sha256


class Predictor:
    """A bundle ready to predict.

    Args:
        config: of the bundle.
        run: its engine, from prepared images uint8 RGB (N, H, W, 3) to the networks' outputs.
        digest: SHA-256 of the bundle's manifest, in hexadecimal; "" for networks that come from no bundle.
        engine: a name of `selcn.inference.bundle.Engine`.

    Example:
        >>> predictor = load("runs/demo/bundle")
        >>> images = [np.full((60, 80, 3), 200, np.uint8), np.full((450, 600, 3), 120, np.uint8)]
        >>> [prediction.lesion.mask.shape for prediction in predictor.predict_batch(images)]
        [(60, 80), (450, 600)]
    """

    def __init__(
        self,
        config: BundleConfig,
        run: Callable[[np.ndarray], Outputs],
        *,
        digest: str = "",
        engine: str = Engine.TORCH,
    ) -> None:
        self.config, self.run = config, run
        self.name, self.digest, self.engine = config.name, digest, str(engine)

    def predict(self, image: str | Path | np.ndarray) -> Prediction:
        """Predict one image.

        Args:
            image: a file's path, or uint8 RGB (H, W, 3).

        Raises:
            DataError: the file is missing or no image.
        """
        image = image if isinstance(image, np.ndarray) else read_image(Path(image))
        return self.predict_batch([image])[0]

    def predict_batch(self, images: Sequence[np.ndarray]) -> list[Prediction]:
        """Predict images of any sizes as one batch.

        Args:
            images: uint8 RGB (H, W, 3) each.
        """
        return self.predict_prepared(
            np.stack([prepare(image, self.config) for image in images]),
            [(image.shape[1], image.shape[0]) for image in images],
        )

    def predict_prepared(self, prepared: np.ndarray, sizes: Sequence[tuple[int, int]]) -> list[Prediction]:
        """Predict prepared images as one batch.

        Args:
            prepared: uint8 RGB (N, H, W, 3), see `selcn.inference.result.prepare`.
            sizes: width and height of each image before preparation.
        """
        outputs = self.run(prepared)
        return [describe(self.config, prepared[row], outputs, row, size) for row, size in enumerate(sizes)]


def load(bundle: str | Path, device: str = "cpu", *, engine: str = Engine.TORCH) -> Predictor:
    """Verify and load a bundle.

    Args:
        bundle: its folder.
        device: of the engine `torch`: `cpu`, `cuda`, `cuda:1` ...
        engine: `torch`, or `onnx` or `onnx-int8` where `selcn export` was run; those are faster on a CPU and load no
            torch.

    Raises:
        RunError: no bundle, it was not exported, or a file of it is missing or changed.
        ConfigError: there is no such device or engine, or ONNX Runtime is not installed.

    Example:
        >>> predictor = load("runs/demo/bundle")
        >>> predictor.config.labels("diagnosis").names
        ['nv', 'mel', 'bkl', 'bcc', 'akiec', 'vasc', 'df']
    """
    if engine not in set(Engine):
        raise ConfigError(f"engine {engine}: unknown; known are {', '.join(Engine)}")
    if engine != Engine.TORCH:
        from selcn.inference.onnx.engine import OnnxEngine

        config, graphs = read_export(Path(bundle), Engine(engine))
        return Predictor(config, OnnxEngine(config, graphs), digest=sha256(Path(bundle) / MANIFEST), engine=engine)
    from selcn.inference.assembly import read_bundle
    from selcn.inference.torch_engine import TorchEngine

    config, ensemble = read_bundle(Path(bundle))
    return Predictor(config, TorchEngine(ensemble, device), digest=sha256(Path(bundle) / MANIFEST))
