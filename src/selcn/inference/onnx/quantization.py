"""Static quantization of a graph's segmenters to 8 bits."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from selcn.errors import require_extra
from selcn.inference.onnx.names import IMAGES, nothing_given

_BATCH = 8
_SEGMENTERS = "segmenters."


class _Calibration:
    """Prepared images, uint8 RGB (N, H, W, 3), in batches, for a graph with these inputs."""

    def __init__(self, prepared: np.ndarray, inputs: Sequence[Any]) -> None:
        self.inputs = inputs
        self.batches: Iterator[np.ndarray] = iter(np.array_split(prepared, max(1, len(prepared) // _BATCH)))

    def get_next(self) -> dict[str, Any] | None:
        """The next batch, as the graph's input."""
        batch = next(self.batches, None)
        return None if batch is None else {IMAGES: batch, **nothing_given(self.inputs, len(batch))}


def quantize(graph: Path, out: Path, prepared: np.ndarray) -> None:
    """Write a graph whose segmenters' convolutions work with 8 bits, with one scale a channel.

    Args:
        graph: of 32 bits; its inputs are the prepared images, and given results where it takes any.
        out: file to write to.
        prepared: representative images to calibrate with, uint8 RGB (N, H, W, 3).

    Raises:
        ConfigError: the extra `export` is not installed.
    """
    onnx = require_extra("onnx", "export", "--int8")
    quantization = require_extra("onnxruntime.quantization", "export", "--int8")
    inputs = onnxruntime.InferenceSession(str(graph)).get_inputs()
    nodes = [node for node in onnx.load(str(graph)).graph.node if node.op_type == "Conv"]
    chosen = [node.name for node in nodes if any(_SEGMENTERS in name for name in node.input)]
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it recommends preprocessing that these graphs already had
    try:
        quantization.quantize_static(
            str(graph),
            str(out),
            _Calibration(prepared, inputs),
            quant_format=quantization.QuantFormat.QDQ,
            nodes_to_quantize=chosen,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    finally:
        logging.getLogger().setLevel(level)
