"""Symmetry-enhanced skin lesion classification: segmentation, symmetry, saliency and CAM transfer.

A research tool, not a medical device.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selcn.inference import Predictor, load
    from selcn.prediction import Prediction

__all__ = ["Prediction", "Predictor", "load"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    # Torch takes seconds to import, and `selcn --help` must not wait for it.
    if name in __all__:
        from selcn import inference, prediction

        return getattr(prediction if name == "Prediction" else inference, name)
    raise AttributeError(f"module 'selcn' has no attribute {name!r}")
