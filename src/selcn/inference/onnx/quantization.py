"""Static quantization of a graph's convolutions to 8 bits."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from selcn.errors import require_extra
from selcn.inference.onnx.names import IMAGES, nothing_given

_BATCH = 8
_SEGMENTERS = "segmenters."


class _Calibration:
    """A graph's inputs, a batch at a time."""

    def __init__(self, batches: Sequence[Mapping[str, Any]]) -> None:
        self.batches, self.left = batches, iter(batches)

    def __len__(self) -> int:
        return len(self.batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Begin anew with some of the batches."""
        self.left = iter(self.batches[start_index:end_index])

    def get_next(self) -> Mapping[str, Any] | None:
        """The next batch; None behind the last."""
        return next(self.left, None)


def batches_of(graph: Path, prepared: np.ndarray) -> Iterator[dict[str, Any]]:
    """The inputs of a graph for prepared images of which nothing is given, in batches.

    Args:
        graph: takes prepared images, and given results where it takes any.
        prepared: uint8 RGB (N, H, W, 3).
    """
    inputs = onnxruntime.InferenceSession(str(graph)).get_inputs()
    for batch in np.array_split(prepared, max(1, len(prepared) // _BATCH)):
        yield {IMAGES: batch, **nothing_given(inputs, len(batch))}


def segmenter_convolutions(graph: Path) -> list[str]:
    """Names of the convolutions of a graph's segmenters.

    Args:
        graph: its file.

    Raises:
        ConfigError: the extra `export` is not installed.
    """
    nodes = require_extra("onnx", "export", "--int8").load(str(graph)).graph.node
    return [node.name for node in nodes if node.op_type == "Conv" and any(_SEGMENTERS in name for name in node.input)]


def quantize(
    graph: Path, out: Path, batches: Sequence[Mapping[str, Any]], nodes: Sequence[str], method: str = "MinMax"
) -> None:
    """Write a graph of which some convolutions work with 8 bits, with one scale a channel.

    Args:
        graph: of 32 bits.
        out: file to write to.
        batches: its inputs for representative images, to calibrate with.
        nodes: names of the convolutions.
        method: ONNX Runtime's way to choose the range of an activation: MinMax, Percentile or Entropy.

    Raises:
        ConfigError: the extra `export` is not installed.
    """
    quantization = require_extra("onnxruntime.quantization", "export", "--int8")
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it recommends preprocessing that these graphs already had
    try:
        quantization.quantize_static(
            str(graph),
            str(out),
            _Calibration(batches),
            quant_format=quantization.QuantFormat.QDQ,
            nodes_to_quantize=list(nodes),
            op_types_to_quantize=["Conv"],
            calibrate_method=quantization.CalibrationMethod[method],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options={"CalibStridedMinMax": 1},  # whatever the method: keeps features of one batch, not of all
        )
    finally:
        logging.getLogger().setLevel(level)
