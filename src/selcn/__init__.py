"""Symmetry-enhanced skin lesion classification: segmentation, symmetry, saliency and CAM transfer.

A research tool, not a medical device.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selcn.data.splits.protocols import grouped_split
    from selcn.evaluation.classification import evaluate_classification
    from selcn.evaluation.comparison import compare
    from selcn.inference.given import Given
    from selcn.inference.overlay import draw_overlay
    from selcn.inference.predictor import Predictor, load
    from selcn.inference.result import Prediction
    from selcn.saliency.gradcam_pp import grad_cam_pp

    __version__: str

__all__ = [
    "Given",
    "Prediction",
    "Predictor",
    "__version__",
    "compare",
    "draw_overlay",
    "evaluate_classification",
    "grad_cam_pp",
    "grouped_split",
    "load",
]

_MODULES = {
    "Given": "inference.given",
    "Prediction": "inference.result",
    "Predictor": "inference.predictor",
    "compare": "evaluation.comparison",
    "draw_overlay": "inference.overlay",
    "evaluate_classification": "evaluation.classification",
    "grad_cam_pp": "saliency.gradcam_pp",
    "grouped_split": "data.splits.protocols",
    "load": "inference.predictor",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    # Torch takes seconds to import, and `selcn --help` must not wait for it.
    if name in _MODULES:
        return getattr(import_module(f"selcn.{_MODULES[name]}"), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("selcn")
    raise AttributeError(f"module 'selcn' has no attribute {name!r}")
