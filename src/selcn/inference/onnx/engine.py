"""A bundle's graphs in ONNX Runtime, without torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from selcn.data.imaging.masking import visible_region
from selcn.data.imaging.masks import LESION_THRESHOLD
from selcn.errors import require_extra
from selcn.inference.bundle import BundleConfig
from selcn.inference.onnx.names import IMAGES, LESIONS, masked_between, output_names, visible_name
from selcn.inference.result import Outputs


class OnnxEngine:
    """Runs the graphs that `selcn export` wrote, on the CPU.

    Args:
        config: of the bundle.
        graphs: their files, in the order they run: one, or two with maskings that are computed between them.
        threads: number that work on one batch; None for one a core.

    Raises:
        ConfigError: ONNX Runtime is not installed.
    """

    def __init__(self, config: BundleConfig, graphs: Sequence[Path], threads: int | None = None) -> None:
        onnxruntime = require_extra("onnxruntime", "onnx", "engine onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        # Threads that spin while they wait starve the other processes of a small machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = ["CPUExecutionProvider"]
        self.config = config
        self.sessions = [onnxruntime.InferenceSession(path, options, providers) for path in graphs]

    def __call__(self, prepared: np.ndarray) -> Outputs:
        """Predict prepared images.

        Args:
            prepared: uint8 RGB (N, H, W, 3), see `selcn.inference.result.prepare`.
        """
        *first, last = self.sessions
        inputs = {IMAGES: prepared}
        if first:
            (inputs[LESIONS],) = first[0].run(None, {IMAGES: prepared})
            for masking in masked_between(self.config):
                inputs[visible_name(masking)] = _visible(masking, inputs[LESIONS])
        taken = {one.name for one in last.get_inputs()}
        values = last.run(None, {name: value for name, value in inputs.items() if name in taken})
        found = dict(zip(output_names(self.config), values, strict=True))
        return Outputs(
            found.get("lesion"),
            {name: found[name] for name in self.config.classifiers},
            {name: found[f"{name}_saliency"] for name in self.config.classifiers},
            found["distance"],
        )


def _visible(masking: str, lesions: np.ndarray) -> np.ndarray:
    """What a masking leaves visible, float32 (N, K, H, W), of lesion probabilities (N, K, H, W) of K members."""
    masks = (lesions > LESION_THRESHOLD).reshape(-1, *lesions.shape[2:])
    return visible_region(masking, masks).reshape(lesions.shape).astype(np.float32)
