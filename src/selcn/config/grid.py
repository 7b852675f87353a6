"""The variants of a whole grid."""

from collections.abc import Sequence

from selcn.config.sections import Variant
from selcn.labels import Control, Fusion, Masking


def grid_variants(*, attention: bool = False, controls: bool = False) -> tuple[Variant, ...]:
    """3 standalone classifiers and 9 that read saliency; 9 with attention; 9 controls.

    Controls read the saliency of unmasked images; for `zero` and `random` it does not matter whose it would be.
    """
    standalone = [Variant(mask=mask) for mask in Masking]
    fusions = (Fusion.CONCAT, Fusion.ATTENTION) if attention else (Fusion.CONCAT,)
    reading = [
        Variant(fusion=fusion, mask=mask, cam_mask=cam_mask) for fusion in fusions for mask, cam_mask in _pairs()
    ]
    controlled = [
        Variant(fusion=Fusion.CONCAT, mask=mask, cam_mask=Masking.NONE, control=control)
        for mask in Masking
        for control in (Control if controls else ())
    ]
    return (*standalone, *reading, *controlled)


def _pairs() -> Sequence[tuple[Masking, Masking]]:
    return [(mask, cam_mask) for mask in Masking for cam_mask in Masking]
