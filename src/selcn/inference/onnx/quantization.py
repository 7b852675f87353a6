"""Static quantisation of a graph's segmenters to 8 bits."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from selcn.errors import ConfigError

try:
    import onnx
    import onnxscript  # noqa: F401 - what PyTorch's exporter writes graphs with
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
except ImportError as error:
    raise ConfigError(f"exporting needs an extra ({error.name} is missing); `pip install selcn[export]`") from None

_BATCH = 8
_SEGMENTERS = "segmenters."


class _Pictures(CalibrationDataReader):  # type: ignore[misc]  # an untyped library's class
    """Prepared pictures, uint8 RGB (N, H, W, 3), in batches."""

    def __init__(self, prepared: np.ndarray) -> None:
        self.batches: Iterator[np.ndarray] = iter(np.array_split(prepared, max(1, len(prepared) // _BATCH)))

    def get_next(self) -> dict[str, Any] | None:
        """The next batch, as the graph's input."""
        batch = next(self.batches, None)
        return None if batch is None else {"pictures": batch}


def quantise(graph: Path, out: Path, prepared: np.ndarray) -> None:
    """Write a graph whose segmenters' convolutions work with 8 bits, scaled a channel.

    Args:
        graph: of 32 bits; its one input is `pictures`.
        out: to write to.
        prepared: usual pictures to calibrate with, uint8 RGB (N, H, W, 3).
    """
    nodes = [node for node in onnx.load(str(graph)).graph.node if node.op_type == "Conv"]
    chosen = [node.name for node in nodes if any(_SEGMENTERS in name for name in node.input)]
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it recommends a step that these graphs have been through
    try:
        quantize_static(
            str(graph),
            str(out),
            _Pictures(prepared),
            quant_format=QuantFormat.QDQ,
            nodes_to_quantize=chosen,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.getLogger().setLevel(level)
