"""Names of the inputs and outputs of exported graphs."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from selcn.data.imaging.masking import find_masking
from selcn.inference.bundle import BundleConfig
from selcn.inference.given import ABSENT, METADATA, saliency_name
from selcn.labels import NO_MASKING

IMAGES, LESIONS = "images", "lesions"
_GIVEN = "given_"


def masked_between(config: BundleConfig) -> list[str]:
    """Maskings of a bundle that no graph can compute, so that they are computed between two graphs.

    Args:
        config: of the bundle.
    """
    wanted = dict.fromkeys(spec.masking for spec in config.classifiers.values())
    return [name for name in wanted if name != NO_MASKING and find_masking(name).region is not None]


def in_two_graphs(config: BundleConfig) -> bool:
    """Whether masks are worked on between two graphs: a masking is computed there, or the largest region chosen.

    Args:
        config: of the bundle.
    """
    return bool(masked_between(config)) or keeps_largest_region(config)


def keeps_largest_region(config: BundleConfig) -> bool:
    """Whether a bundle keeps of each mask its largest region alone.

    Args:
        config: of the bundle.
    """
    return config.segmentation is not None and config.segmentation.largest_region


def visible_name(masking: str) -> str:
    """Name of the input that holds the region that a masking leaves visible.

    Args:
        masking: name of a strategy.
    """
    return f"visible_{masking}"


def output_names(config: BundleConfig) -> list[str]:
    """Outputs of the last graph, in order: lesion, each classifier and its saliency, distance.

    Args:
        config: of the bundle.
    """
    lesion = ["lesion"] if config.segmenter else []
    return [*lesion, *(name for one in config.classifiers for name in (one, saliency_name(one))), "distance"]


def given_name(what: str) -> str:
    """Name of the input that holds what is given, -1 for images without it; of metadata 0.

    Args:
        what: `mask`, a classifier's name, a classifier's name with `_saliency`, or `metadata`.
    """
    return f"{_GIVEN}{what}"


def given_shapes(inputs: Iterable[Any]) -> dict[str, tuple[int, ...]]:
    """Shape of one image's value of each given result that a graph takes, by the result's name.

    Args:
        inputs: of an ONNX Runtime session.
    """
    return {one.name.removeprefix(_GIVEN): tuple(one.shape[1:]) for one in inputs if one.name.startswith(_GIVEN)}


def nothing_given(inputs: Iterable[Any], images: int) -> dict[str, np.ndarray]:
    """Values of a graph's inputs of given results for images that have none, by the input's name.

    Args:
        inputs: of an ONNX Runtime session.
        images: how many.
    """
    return {
        given_name(what): np.full(
            (images, *shape), 0 if what == METADATA else ABSENT, np.float32 if shape else np.int64
        )
        for what, shape in given_shapes(inputs).items()
    }
