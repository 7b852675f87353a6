"""Classifiers in 8 bits beside 32: share of equal predictions, and milliseconds an image in batches of 8.

python benchmarks/int8.py BUNDLE FOLDER_OF_IMAGES [COUNT]

BUNDLE is exported. Convolutions are quantised (QDQ, a scale a channel) by three ways of calibration on 64 other images;
in a second variant the first and the last convolution of each network stay as they are.
"""

import logging
import sys
import tempfile
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization

from selcn.data.discovery import find_images
from selcn.data.imaging.read import read_image
from selcn.inference.bundle import BundleConfig, read_export
from selcn.inference.onnx.engine import OnnxEngine
from selcn.inference.onnx.names import IMAGES, LESIONS, nothing_given
from selcn.inference.result import prepare
from timing import medians

COUNT, CALIBRATED, BATCH, REPEATS = 2_000, 64, 8, 5
METHODS = {
    "min and max": quantization.CalibrationMethod.MinMax,
    "percentile": quantization.CalibrationMethod.Percentile,
    "entropy": quantization.CalibrationMethod.Entropy,
}


class Batches:
    """Prepared images in batches, with lesions where the graph takes them."""

    def __init__(self, prepared: np.ndarray, graphs: list[Path]) -> None:
        self.sessions = [onnxruntime.InferenceSession(str(graph)) for graph in graphs]
        self.batches = iter(np.array_split(prepared, max(1, len(prepared) // BATCH)))

    def get_next(self) -> dict[str, object] | None:
        """The next batch, as the last graph's input."""
        batch = next(self.batches, None)
        if batch is None:
            return None
        inputs = self.sessions[-1].get_inputs()
        known = {IMAGES: batch}
        if len(self.sessions) > 1:
            known[LESIONS] = self.sessions[0].run(None, {IMAGES: batch})[0]
        wanted = {one.name for one in inputs}
        return {name: one for name, one in {**nothing_given(inputs, len(batch)), **known}.items() if name in wanted}


def networks_of(graph: Path) -> list[list[str]]:
    """Names of the convolutions of each classifier, in order."""
    found: list[tuple[str, str]] = []
    for node in onnx.load(str(graph)).graph.node:
        weight = next((name for name in node.input if ".networks." in name), "")
        if node.op_type == "Conv" and weight:
            found.append((weight.partition(".backbone.")[0], node.name))
    return [[name for _, name in group] for _, group in groupby(found, key=lambda one: one[0])]


def quantise(graphs: list[Path], out: Path, prepared: np.ndarray, nodes: list[str], method: str) -> None:
    """Write the last graph with these convolutions in 8 bits."""
    quantization.quantize_static(
        str(graphs[-1]),
        str(out),
        Batches(prepared, graphs),
        quant_format=quantization.QuantFormat.QDQ,
        nodes_to_quantize=nodes,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=METHODS[method],
    )


def answers(engine: OnnxEngine, prepared: np.ndarray, target: str) -> np.ndarray:
    """The most probable class of each image (N,)."""
    batches = np.array_split(prepared, -(-len(prepared) // BATCH))
    return np.concatenate([engine(batch).probabilities[target].argmax(axis=1) for batch in batches])


def measure(bundle: Path, images: Path, count: int = COUNT) -> dict[str, float]:
    """Agreement and times of every way."""
    logging.getLogger().setLevel(logging.ERROR)
    config: BundleConfig
    config, graphs = read_export(bundle)
    paths = find_images(images)[: count + CALIBRATED]
    prepared = np.stack([prepare(read_image(path), config) for path in paths])
    tested, calibrating = prepared[CALIBRATED:], prepared[:CALIBRATED]
    whole = OnnxEngine(config, graphs)
    expected, found = answers(whole, tested, config.target), dict[str, float]()
    networks = networks_of(graphs[-1])
    inner = [name for network in networks for name in network[1:-1]]
    variants = {"all convolutions": [name for network in networks for name in network], "but first and last": inner}
    with tempfile.TemporaryDirectory() as folder:
        engines = {"32 bits": whole}
        for method in METHODS:
            for what, nodes in variants.items():
                out = Path(folder) / f"{method}-{what}.onnx"
                quantise(graphs, out, calibrating, nodes, method)
                engine = OnnxEngine(config, [*graphs[:-1], out])
                name = f"{method}, {what}"
                found[f"{name}: equal predictions"] = float((answers(engine, tested, config.target) == expected).mean())
                engines[name] = engine
        taken = medians({name: partial(engine, tested[:BATCH]) for name, engine in engines.items()}, REPEATS)
    return {"images": len(tested), **found, **{f"{name}, ms": 1000 * one / BATCH for name, one in taken.items()}}


if __name__ == "__main__":
    print(measure(Path(sys.argv[1]), Path(sys.argv[2]), *(int(given) for given in sys.argv[3:])))
