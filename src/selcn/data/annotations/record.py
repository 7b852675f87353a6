"""The annotation of one image, by a network before or by a person after: a mask and words of the catalog's columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from selcn.data.annotations.shapes import decode_mask
from selcn.labels import LabelSet

LESION = "lesion"
"""What the annotated region is called in the files of annotation tools."""


@dataclass(frozen=True)
class Annotation:
    """The annotation of one image.

    Attributes:
        image_id: of the catalog; "" where a file of a tool does not tell it.
        path: of the image, as the catalog or the tool's file has it.
        size: width and height in pixels; of the mask, where there is one.
        counts: the mask in COCO's compressed run lengths; None where the lesion is not annotated.
        words: by column of the catalog, such as `{"diagnosis": "mel"}`.
        uncertainty: entropy of the target's probabilities over its largest value, 0 to 1; None where it has none.
        confidence: largest probability of the target, 0 to 1; None where it has none.
        by: the network or the person that it comes from.
        when: of a person's annotation, as the tool writes it.
    """

    image_id: str
    path: str
    size: tuple[int, int]
    counts: str | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    uncertainty: float | None = None
    confidence: float | None = None
    by: str = ""
    when: str = ""

    def mask(self) -> npt.NDArray[np.bool_]:
        """The mask, bool (H, W); of None for the lesion an empty one."""
        width, height = self.size
        return np.zeros((height, width), dtype=bool) if self.counts is None else decode_mask(self.counts, self.size)


def choices(labels: Sequence[LabelSet]) -> dict[str, list[str]]:
    """The words that people choose from, by column of the catalog; of two label sets of one column the first counts.

    Args:
        labels: label sets, that of the target first.
    """
    found: dict[str, list[str]] = {}
    for one in labels:
        found.setdefault(one.column, list(one.names))
    return found


def ranked(annotations: Sequence[Annotation], top: int | None = None) -> list[Annotation]:
    """Annotations by uncertainty, the largest first; those without one come last, in their order.

    Args:
        annotations: of any images.
        top: how many to keep; None for all.
    """
    order = sorted(annotations, key=lambda one: -1.0 if one.uncertainty is None else one.uncertainty, reverse=True)
    return order[:top]
