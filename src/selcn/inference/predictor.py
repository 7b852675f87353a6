"""The one prediction path of command line, report and Python; imports torch only for the engine `torch`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL.Image import Image

import selcn
from selcn.data.imaging.arrays import as_rgb
from selcn.data.imaging.masks import LESION_THRESHOLD
from selcn.data.imaging.prepare import resize
from selcn.data.imaging.read import read_image
from selcn.errors import ConfigError, require_extra
from selcn.inference.bundle import MANIFEST, BundleConfig, Engine, checksum, read_export, read_metrics
from selcn.inference.given import NOTHING, Floats, Given, GivenArrays, check_given, stack_given
from selcn.inference.hub import locate_bundle
from selcn.inference.result import Lesion, Outputs, Prediction, describe, find_lesion, prepare
from selcn.inference.shipped import shipped_bundle
from selcn.io.threads import thread_count


class Runner(Protocol):
    """An engine: runs a bundle's networks on prepared images."""

    def __call__(self, prepared: np.ndarray, given: GivenArrays | None = None) -> Outputs:
        """Predict prepared images, uint8 RGB (N, H, W, 3).

        Args:
            prepared: the images.
            given: results in place of which nothing is predicted.
        """

    def segment(self, prepared: np.ndarray) -> Floats:
        """Probability that a pixel is lesion, float32 (N, H, W); of a bundle with a segmentation network.

        Args:
            prepared: uint8 RGB (N, H, W, 3).
        """

    def given_shapes(self, size: tuple[int, int]) -> Mapping[str, tuple[int, ...]]:
        """Shape of one image's value of each result that can be given, by its name.

        Args:
            size: width and height of prepared images.
        """


class Predictor:
    """A bundle ready to predict.

    Args:
        config: of the bundle.
        run: its engine.
        digest: SHA-256 of the bundle's manifest, in hexadecimal; "" for networks that come from no bundle.
        engine: a name of `selcn.inference.bundle.Engine`.
        metrics: rows of the bundle's `metrics.json`.

    Example:
        >>> predictor = load("runs/demo/bundle")
        >>> images = [np.full((60, 80, 3), 200, np.uint8), np.full((450, 600, 3), 120, np.uint8)]
        >>> [prediction.lesion.mask.shape for prediction in predictor.predict_batch(images)]
        [(60, 80), (450, 600)]
    """

    def __init__(
        self,
        config: BundleConfig,
        run: Runner,
        *,
        digest: str = "",
        engine: str = Engine.TORCH,
        metrics: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.config, self.run, self.metrics = config, run, tuple(metrics)
        self.name, self.digest, self.engine = config.name, digest, str(engine)

    @property
    def at_once(self) -> int:
        """Batches that are best at work at the same time.

        Several threads of ONNX Runtime wait for one another after each layer, and a second batch fills the gaps;
        those of PyTorch spin while they wait, and a second batch would slow the first.
        """
        return 2 if self.engine != Engine.TORCH and thread_count() > 1 else 1

    @property
    def label(self) -> str:
        """Name and checksum of the bundle, engine and version of selcn, for people."""
        return f"model: {self.name} {self.digest[:12]}, {self.engine}, selcn {selcn.__version__}"

    def predict(self, image: str | Path | np.ndarray | Image, given: Given = NOTHING) -> Prediction:
        """Predict one image.

        Args:
            image: a file's path, an image of Pillow, or an array as `selcn.data.imaging.arrays.as_rgb` takes it.
            given: results that go before predicted ones; what depends on them follows.

        Raises:
            DataError: the file is missing or no image, the array could be meant in several ways, or what is given does
                not fit the image or the bundle.
            ConfigError: the engine cannot be given such results.
        """
        read = read_image(Path(image)) if isinstance(image, str | Path) else image
        return self.predict_batch([read], [given])[0]

    def predict_batch(self, images: Sequence[np.ndarray | Image], given: Sequence[Given] = ()) -> list[Prediction]:
        """Predict images of any sizes as one batch.

        Args:
            images: arrays or images of Pillow, see `predict`.
            given: one an image, see `predict`; or nothing at all.

        Raises:
            DataError: an array could be meant in several ways, or what is given does not fit an image or the bundle.
            ConfigError: the engine cannot be given such results.
        """
        pictures = [as_rgb(image) for image in images]
        sizes = [(picture.shape[1], picture.shape[0]) for picture in pictures]
        given = [self.check(one, size) for one, size in zip(given, sizes, strict=True)] if given else ()
        return self.predict_prepared(np.stack([prepare(picture, self.config) for picture in pictures]), sizes, given)

    def predict_prepared(
        self, prepared: np.ndarray, sizes: Sequence[tuple[int, int]], given: Sequence[Given] = ()
    ) -> list[Prediction]:
        """Predict prepared images as one batch.

        Args:
            prepared: uint8 RGB (N, H, W, 3), see `selcn.inference.result.prepare`.
            sizes: width and height of each image before preparation.
            given: one an image, each from `check`; or nothing at all.
        """
        given = given or [NOTHING] * len(sizes)
        outputs = self.infer(prepared, given)
        return [
            describe(self.config, prepared[row], outputs, row, size, one)
            for row, (size, one) in enumerate(zip(sizes, given, strict=True))
        ]

    def infer(self, prepared: np.ndarray, given: Sequence[Given]) -> Outputs:
        """The outputs of the networks for prepared images, which `describe` turns into predictions one by one.

        Args:
            prepared: uint8 RGB (N, H, W, 3), see `selcn.inference.result.prepare`.
            given: one an image, each from `check`, or `NOTHING`.
        """
        return self.run(prepared, self.given_arrays(given))

    def given_arrays(self, given: Sequence[Given]) -> GivenArrays | None:
        """What is given of a batch as arrays; None where nothing is.

        Args:
            given: one an image, each from `check`, or `NOTHING`.
        """
        if not any(one.names for one in given):
            return None
        return stack_given(given, self.config, self.run.given_shapes(self.config.prepare.size))

    def check(self, given: Given, size: tuple[int, int] | None = None) -> Given:
        """What is given of an image, with classes under the names of their label sets.

        Args:
            given: as a person gives it.
            size: width and height of the image; None where they are not known yet.

        Raises:
            DataError: it does not fit the image or the bundle.
            ConfigError: the engine cannot be given such results.
        """
        if not (given.names or given.metadata):
            return given
        checked = check_given(given, self.config, size)
        taken = self.run.given_shapes(self.config.prepare.size)
        for name in checked.names:
            if name not in taken:
                raise ConfigError(f"engine {self.engine}: this export cannot be given {name}; use --engine torch")
        return checked

    def find_lesions(self, prepared: np.ndarray, sizes: Sequence[tuple[int, int]]) -> list[Lesion]:
        """The lesions of prepared images; the classification networks do not run where the engine can leave them out.

        Args:
            prepared: uint8 RGB (N, H, W, 3), see `selcn.inference.result.prepare`.
            sizes: width and height of each image before preparation.

        Raises:
            ConfigError: the bundle has no segmentation network.
        """
        if self.config.segmenter is None:
            raise ConfigError(f"bundle {self.name}: has no segmentation network; give one that has")
        lesions = self.run.segment(prepared)
        return [
            find_lesion(resize(lesion, size) > LESION_THRESHOLD) for lesion, size in zip(lesions, sizes, strict=True)
        ]


def load(bundle: str | Path | None = None, device: str = "cpu", *, engine: str = Engine.TORCH) -> Predictor:
    """Verify and load a bundle.

    Args:
        bundle: its folder, or `hf://owner/name@revision` on the Hugging Face hub; None for the one that ships.
        device: of the engine `torch`: `cpu`, `cuda`, `cuda:1` ...
        engine: `torch`, or `onnx` or `onnx-int8` where `selcn export` was run; those are faster on a CPU and load no
            torch.

    Raises:
        RunError: no bundle, it was not exported, a file of it is missing or changed, or it cannot be fetched.
        ConfigError: there is no such device or engine, or PyTorch is not installed.

    Example:
        >>> predictor = load("runs/demo/bundle")
        >>> predictor.config.labels("diagnosis").names
        ['nv', 'mel', 'bkl', 'bcc', 'akiec', 'vasc', 'df']
    """
    if engine not in set(Engine):
        raise ConfigError(f"engine {engine}: unknown; known are {', '.join(Engine)}")
    if engine == Engine.TORCH:
        require_extra("selcn.models.build", "torch", "engine torch, unlike engine onnx,")
    folder = shipped_bundle() if bundle is None else locate_bundle(bundle, engine)
    if engine != Engine.TORCH:
        from selcn.inference.onnx.engine import OnnxEngine

        config, graphs = read_export(folder, Engine(engine))
        run: Runner = OnnxEngine(config, graphs)
    else:
        from selcn.inference.assembly import read_bundle
        from selcn.inference.torch_engine import TorchEngine

        config, ensemble = read_bundle(folder)
        run = TorchEngine(ensemble, device)
    digest, metrics = checksum(folder / MANIFEST), read_metrics(folder)
    return Predictor(config, run, digest=digest, engine=engine, metrics=metrics)
