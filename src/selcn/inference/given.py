"""What is given with an image: metadata, and results in place of predicted ones (a mask, a class, a saliency map)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from selcn.data.imaging.prepare import prepare_mask, resize
from selcn.errors import DataError
from selcn.labels.metadata import WIDTH, encode_metadata, is_missing

if TYPE_CHECKING:
    from selcn.inference.bundle import BundleConfig

Floats = npt.NDArray[np.float32]
MASK, METADATA = "mask", "metadata"
ABSENT = -1
"""In arrays of a batch: what is not given of an image."""
_MIN_SPAN = 1e-6  # of a map, below which it is flat


@dataclass(frozen=True, eq=False)
class Given:
    """What is known of one image; what depends on it follows, as in an intervention on a concept bottleneck model.

    Koh et al. 2020, Concept bottleneck models, arXiv:2007.04612.

    Attributes:
        mask: of the lesion at the image's own size (H, W), bool, or uint8 that is lesion where it is not 0.
        classes: a class, or an alias of it, by the name of a classification network. Its probability becomes 1, and the
            network's saliency is that of this class.
        saliency: float (any, any) in [0, 1] over the whole image, by the name of a classification network; resized to
            the network's grid and scaled to [0, 1].
        metadata: `age` in years, `sex` and `site`, as far as networks of the bundle read them; what is not given counts
            as missing.

    Example:
        >>> import selcn
        >>> predictor, image = selcn.load("runs/demo/bundle"), np.full((60, 80, 3), 200, np.uint8)
        >>> given = Given(mask=np.ones((60, 80), bool), classes={"symmetry": "asymmetric"})
        >>> prediction = predictor.predict(image, given)
        >>> prediction["symmetry"].probabilities, prediction.lesion.box, prediction.given
        ({'asymmetric': 1.0, 'symmetric': 0.0}, (0, 0, 80, 60), ('mask', 'symmetry'))
    """

    mask: npt.NDArray[np.bool_ | np.uint8] | None = None
    classes: Mapping[str, str] = field(default_factory=dict)
    saliency: Mapping[str, np.ndarray] = field(default_factory=dict)
    metadata: Mapping[str, str | float | None] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is given: `mask`, a network for its class, its name with `_saliency`, and `metadata`."""
        masks = () if self.mask is None else (MASK,)
        metadata = () if all(map(is_missing, self.metadata.values())) else (METADATA,)
        return (*masks, *self.classes, *map(saliency_name, self.saliency), *metadata)


NOTHING = Given()


@dataclass(frozen=True, eq=False)
class GivenArrays:
    """What is given of N prepared images, as engines take it; -1 where an image has none.

    Attributes:
        masks: 0 or 1, float32 (N, H, W); None where no image has one.
        classes: class numbers int64 (N,), by the network's name.
        saliency: float32 (N, h, w) in [0, 1] at the network's grid, by the network's name.
        metadata: float32 (N, `selcn.labels.metadata.WIDTH`), zeros where values are missing; None where all are.
    """

    masks: Floats | None = None
    classes: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    saliency: Mapping[str, Floats] = field(default_factory=dict)
    metadata: Floats | None = None

    def by_name(self) -> dict[str, np.ndarray]:
        """The arrays by the names of `Given.names`."""
        masks = {} if self.masks is None else {MASK: self.masks}
        metadata = {} if self.metadata is None else {METADATA: self.metadata}
        maps = {saliency_name(name): one for name, one in self.saliency.items()}
        return {**masks, **self.classes, **maps, **metadata}


def saliency_name(network: str) -> str:
    """The name of a network's saliency, in rows and among what is given.

    Args:
        network: its name.
    """
    return f"{network}_saliency"


def check_given(given: Given, config: "BundleConfig", size: tuple[int, int] | None = None) -> Given:
    """What is given of an image, with classes under the names of their label sets, networks in the bundle's order.

    Args:
        given: as a person gives it.
        config: of the bundle.
        size: width and height of the image; None where they are not known yet.

    Raises:
        DataError: a network or class that the bundle does not have, a mask of another size than the image or without a
            segmentation network, saliency that is no map of values from 0 to 1, or metadata that no network reads or
            of another kind.
    """
    for name in (*given.classes, *given.saliency):
        if name not in config.classifiers:
            raise DataError(
                f"given {name}: no classification network; there are {', '.join(config.classifiers) or 'none'}"
            )
    if given.mask is not None:
        _check_mask(given.mask, config, size)
    _check_metadata(given.metadata, config)
    for name, saliency in given.saliency.items():
        if saliency.ndim != 2 or not saliency.size or not (saliency.min() >= 0 and saliency.max() <= 1):
            raise DataError(f"given {saliency_name(name)}: no map of values from 0 to 1; scale it, rows by columns")
    classes = {name: _class(name, given.classes[name], config) for name in config.classifiers if name in given.classes}
    ordered = {name: given.saliency[name] for name in config.classifiers if name in given.saliency}
    return replace(given, classes=classes, saliency=ordered)


def check_frames(given: Given, frames: int) -> None:
    """Refuse what one frame alone can be given of a file with several; metadata are of all its frames.

    Args:
        given: of a file.
        frames: how many it holds.

    Raises:
        DataError: a mask, class or saliency map is given of several frames.
    """
    if frames > 1 and set(given.names) - {METADATA}:
        raise DataError(f"holds {frames} frames; give results of files with one frame only")


def stack_given(given: Sequence[Given], config: "BundleConfig", shapes: Mapping[str, tuple[int, ...]]) -> GivenArrays:
    """What is given of N images as arrays.

    Args:
        given: one an image, each from `check_given`.
        config: of the bundle.
        shapes: of one image's value, by the names of `Given.names`.
    """
    masks: Floats | None = None
    classes: dict[str, npt.NDArray[np.int64]] = {}
    saliency: dict[str, Floats] = {}
    metadata: Floats | None = None
    for row, one in enumerate(given):
        if METADATA in one.names:
            metadata = np.zeros((len(given), WIDTH), np.float32) if metadata is None else metadata
            metadata[row] = encode_metadata(one.metadata)
        if one.mask is not None:
            masks = _absent(len(given), shapes[MASK]) if masks is None else masks
            masks[row] = prepare_mask(one.mask.astype(bool), config.prepare.size)
        for name, word in one.classes.items():
            numbers = classes.setdefault(name, np.full(len(given), ABSENT, np.int64))
            numbers[row] = config.labels(name).names.index(word)
        for name, values in one.saliency.items():
            grid = shapes[saliency_name(name)]
            saliency.setdefault(name, _absent(len(given), grid))[row] = _on_grid(values, grid)
    return GivenArrays(masks, classes, saliency, metadata)


def _absent(images: int, shape: tuple[int, ...]) -> Floats:
    return np.full((images, *shape), ABSENT, np.float32)


def _check_mask(mask: np.ndarray, config: "BundleConfig", size: tuple[int, int] | None) -> None:
    if config.segmenter is None:
        raise DataError(f"given {MASK}: bundle {config.name} has no segmentation network; leave the mask out")
    if mask.ndim != 2 or (size is not None and mask.shape[::-1] != size):
        own = "x".join(map(str, mask.shape[::-1]))
        wanted = "" if size is None else f", its image {size[0]}x{size[1]}"
        raise DataError(f"given {MASK}: is {own}{wanted}; give a mask of one value a pixel of the image")


def _check_metadata(metadata: Mapping[str, object], config: "BundleConfig") -> None:
    for name in metadata:
        if name not in config.metadata:
            known = ", ".join(config.metadata)
            raise DataError(f"given {name}: no network of bundle {config.name} reads it; give {known or 'no metadata'}")
    try:
        encode_metadata(metadata)
    except ValueError as error:
        raise DataError(f"given {METADATA}: {error}") from None


def _class(network: str, word: str, config: "BundleConfig") -> str:
    labels = config.labels(network)
    if not labels.class_of(word):
        raise DataError(f"given {network}: {word!r} is no class; it knows {', '.join(labels.names)}")
    return labels.class_of(word)


def _on_grid(saliency: np.ndarray, grid: tuple[int, ...]) -> Floats:
    """A map at a network's grid, scaled to [0, 1] by its own minimum and maximum; zeros where it is flat."""
    values = resize(saliency.astype(np.float32), (grid[1], grid[0]))
    low, span = values.min(), values.max() - values.min()
    scaled: Floats = (values - low) / span if span > _MIN_SPAN else np.zeros_like(values)
    return scaled
