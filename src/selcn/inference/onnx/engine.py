"""A bundle's graphs in ONNX Runtime, without torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from selcn.data.imaging.masks import LESION_THRESHOLD, grown_boxes
from selcn.errors import ConfigError
from selcn.inference.result import Outputs

try:
    import onnxruntime
except ImportError:
    raise ConfigError("engine onnx: onnxruntime is not installed; `pip install selcn[onnx]`") from None


class OnnxEngine:
    """Runs the graphs that `selcn export` wrote, on the CPU.

    Args:
        graphs: their files, in the order they run: one, or two with the search for the largest lesion region between.
        threads: how many work on one batch; None for a thread a core.
    """

    def __init__(self, graphs: Sequence[Path], threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        # Threads that spin while they wait starve the other processes of a small machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = ["CPUExecutionProvider"]
        self.sessions = [onnxruntime.InferenceSession(path, options, providers) for path in graphs]

    def __call__(self, prepared: np.ndarray) -> Outputs:
        """What is said of prepared pictures, uint8 RGB (N, H, W, 3)."""
        *outline, judge = self.sessions
        if not outline:
            return Outputs(*judge.run(None, {"pictures": prepared}))
        (lesions,) = outline[0].run(None, {"pictures": prepared})
        inputs = {"pictures": prepared, "lesions": lesions, "visible": _boxed(lesions > LESION_THRESHOLD)}
        taken = {one.name for one in judge.get_inputs()}
        return Outputs(*judge.run(None, {name: value for name, value in inputs.items() if name in taken}))


def _boxed(lesions: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """1 inside the grown box around the largest region of each mask (N, K, H, W), 0 outside."""
    pictures, members, height, width = lesions.shape
    boxes = grown_boxes(lesions.reshape(-1, height, width)).T[:, :, None]
    x, y, box_width, box_height = boxes
    columns, rows = np.arange(width), np.arange(height)
    within_x, within_y = (columns >= x) & (columns < x + box_width), (rows >= y) & (rows < y + box_height)
    inside = within_y[:, :, None] & within_x[:, None, :]
    visible: npt.NDArray[np.float32] = inside.reshape(pictures, members, height, width).astype(np.float32)
    return visible
