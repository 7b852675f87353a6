"""What of an image a network is shown, given the lesion's mask: the registry of masking strategies."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from selcn.data.imaging.masks import grown_boxes
from selcn.errors import ConfigError
from selcn.labels import NO_MASKING

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Masking:
    """One strategy.

    Attributes:
        name: in configurations and on the command line.
        summary: what stays visible.
        region: masks, bool (N, H, W), none of them empty or all of them possibly, to what stays visible, bool
            (N, H, W); None where the mask itself does. It runs on the CPU, between the graphs of an ONNX export too.
    """

    name: str
    summary: str
    region: Callable[[Bools], Bools] | None = None


_MASKINGS: dict[str, Masking] = {}


def register_masking(masking: Masking) -> Masking:
    """Make a strategy known by its name; a later one of the same name replaces it.

    Args:
        masking: the strategy.
    """
    _MASKINGS[masking.name.lower()] = masking
    return masking


def maskings() -> dict[str, Masking]:
    """The known strategies by name, `none` first."""
    return dict(_MASKINGS)


def find_masking(name: str) -> Masking:
    """The strategy of a name, in any case.

    Args:
        name: of the strategy.

    Raises:
        ConfigError: there is none of that name.
    """
    if name.lower() not in _MASKINGS:
        raise ConfigError(f"masking {name!r}: unknown; known are {', '.join(_MASKINGS)}")
    return _MASKINGS[name.lower()]


def visible_region(name: str, masks: Bools) -> Bools:
    """What a strategy leaves visible, bool (N, H, W), of images with these masks, bool (N, H, W).

    Without lesion it is everything, since a black image would tell the next network nothing.

    Args:
        name: of the strategy.
        masks: the lesions, bool (N, H, W).
    """
    strategy = find_masking(name)
    if strategy.name == NO_MASKING:
        return np.ones_like(masks)
    region = masks if strategy.region is None else strategy.region(masks)
    empty = ~masks.any(axis=(1, 2), keepdims=True)
    visible: Bools = region | empty
    return visible


def _boxes(masks: Bools) -> Bools:
    """Inside of the grown box around each mask's largest region; see `grown_boxes`."""
    x, y, width, height = grown_boxes(masks).T[:, :, None]
    columns, rows = np.arange(masks.shape[2]), np.arange(masks.shape[1])
    within_x, within_y = (columns >= x) & (columns < x + width), (rows >= y) & (rows < y + height)
    inside: Bools = within_y[:, :, None] & within_x[:, None, :]
    return inside


register_masking(Masking(NO_MASKING, "the image as it is"))
register_masking(Masking("segmentation", "the lesion; all else is black"))
register_masking(Masking("lae", "the lesion's bounding box, extended on every side by 20 %; all else black", _boxes))
