"""How far a bundle's graphs are from PyTorch, on images that are made for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selcn.inference.bundle import BundleConfig
from selcn.inference.given import GivenArrays
from selcn.inference.onnx.engine import OnnxEngine
from selcn.inference.torch_engine import TorchEngine
from selcn.labels.metadata import WIDTH
from selcn.models.ensemble import Ensemble


def largest_differences(config: BundleConfig, ensemble: Ensemble, graphs: Sequence[Path]) -> dict[str, float]:
    """Largest absolute difference of each output from PyTorch's, on images of noise and of discs.

    Args:
        config: of the bundle.
        ensemble: its networks.
        graphs: its files, in the order they run.
    """
    images = _test_images(config.prepare.size)
    given = GivenArrays(metadata=_test_metadata(len(images)) if config.metadata else None)
    ours, theirs = OnnxEngine(config, graphs)(images, given), TorchEngine(ensemble)(images, given)
    pairs: dict[str, tuple[Any, Any]] = {"distance": (ours.distance, theirs.distance)}
    if ours.lesion is not None:
        pairs["lesion"] = (ours.lesion, theirs.lesion)
    for name in config.classifiers:
        pairs[name] = (ours.probabilities[name], theirs.probabilities[name])
        pairs[f"{name}_saliency"] = (ours.saliency[name], theirs.saliency[name])
    return {name: _largest_difference(one, other) for name, (one, other) in pairs.items()}


def _largest_difference(one: np.ndarray, other: np.ndarray) -> float:
    """Of two arrays; undefined values (NaN) are equal to each other and infinitely far from others."""
    if (np.isnan(one) != np.isnan(other)).any():
        return float("inf")
    return float(np.nan_to_num(np.abs(one - other)).max())


def _test_metadata(images: int) -> np.ndarray:
    """Metadata whose values are missing in every other image, float32 (N, WIDTH)."""
    known = np.random.default_rng(0).random((images, WIDTH), dtype=np.float32)
    known[::2] = 0
    return known


def _test_images(size: tuple[int, int]) -> np.ndarray:
    """Noise, and dark discs on skin, uint8 RGB (8, H, W, 3)."""
    width, height = size
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    images = generator.integers(0, 255, (8, height, width, 3), dtype=np.uint8)
    for number in range(1, 7):
        reach = (number + 1) * min(size) / 18
        inside = (rows - height / 2) ** 2 + (columns - width / (1.5 + number / 6)) ** 2 < reach**2
        images[number] = np.where(inside[..., None], (110, 70, 50), (225, 180, 165)) + images[number] // 16
    return images
