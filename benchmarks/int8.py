"""Classifiers in 8 bits beside 32: share of equal predictions, and milliseconds an image in batches of 8.

python benchmarks/int8.py BUNDLE FOLDER_OF_IMAGES [COUNT]

BUNDLE is exported. Convolutions are quantised (QDQ, a scale a channel), calibrated on 64 other images in three ways:
by the least and the largest value, by percentiles and by entropy. In a fourth variant the first and the last
convolution of each network stay as they are.
"""

import sys
import tempfile
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from selcn.data.discovery import find_images
from selcn.data.imaging.read import read_image
from selcn.inference.bundle import BundleConfig, read_export
from selcn.inference.onnx.engine import OnnxEngine
from selcn.inference.onnx.quantization import quantize
from selcn.inference.result import prepare
from timing import medians

COUNT, CALIBRATED, BATCH, REPEATS = 500, 64, 8, 5
METHODS = ("MinMax", "Percentile", "Entropy")


class Recorder:
    """A session that keeps what it is given."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.session, self.seen = session, list[dict[str, Any]]()

    def run(self, names: list[str] | None, inputs: dict[str, Any]) -> Any:  # noqa: ANN401
        """As the session's."""
        self.seen.append(inputs)
        return self.session.run(names, inputs)

    def get_inputs(self) -> Any:  # noqa: ANN401
        """As the session's."""
        return self.session.get_inputs()


def recorded(config: BundleConfig, graphs: list[Path], prepared: np.ndarray) -> list[dict[str, Any]]:
    """What the last graph is given for prepared images, a batch at a time."""
    engine = OnnxEngine(config, graphs)
    recorder = engine.sessions[-1] = Recorder(engine.sessions[-1])
    for batch in np.array_split(prepared, max(1, len(prepared) // BATCH)):
        engine(batch)
    return recorder.seen


def networks_of(graph: Path) -> list[list[str]]:
    """Names of the convolutions of each classifier, in order."""
    found: list[tuple[str, str]] = []
    for node in onnx.load(str(graph)).graph.node:
        weight = next((name for name in node.input if ".networks." in name), "")
        if node.op_type == "Conv" and weight:
            found.append((weight.partition(".backbone.")[0], node.name))
    return [[name for _, name in group] for _, group in groupby(found, key=lambda one: one[0])]


def answers(engine: OnnxEngine, prepared: np.ndarray, target: str) -> np.ndarray:
    """The most probable class of each image (N,)."""
    batches = np.array_split(prepared, -(-len(prepared) // BATCH))
    return np.concatenate([engine(batch).probabilities[target].argmax(axis=1) for batch in batches])


def measure(bundle: Path, images: Path, count: int = COUNT) -> dict[str, float]:
    """Agreement and times of every way."""
    config: BundleConfig
    config, graphs = read_export(bundle)
    paths = find_images(images)[: count + CALIBRATED]
    prepared = np.stack([prepare(read_image(path), config) for path in paths])
    tested, calibrating = prepared[CALIBRATED:], prepared[:CALIBRATED]
    whole, seen = OnnxEngine(config, graphs), recorded(config, graphs, calibrating)
    expected, found = answers(whole, tested, config.target), dict[str, float]()
    networks = networks_of(graphs[-1])
    every, inner = ([name for network in networks for name in network[cut]] for cut in (slice(None), slice(1, -1)))
    variants = {**{method: (every, method) for method in METHODS}, "MinMax, but first and last": (inner, "MinMax")}
    with tempfile.TemporaryDirectory() as folder:
        engines = {"32 bits": whole}
        for name, (nodes, method) in variants.items():
            out = Path(folder) / f"{name}.onnx"
            quantize(graphs[-1], out, seen, nodes, method)
            engines[name] = OnnxEngine(config, [*graphs[:-1], out])
            equal = answers(engines[name], tested, config.target) == expected
            found[f"{name}: equal predictions, share"] = float(equal.mean())
        taken = medians({name: partial(engine, tested[:BATCH]) for name, engine in engines.items()}, REPEATS)
    return {"images": len(tested), **found, **{f"{name}, ms": 1000 * one / BATCH for name, one in taken.items()}}


if __name__ == "__main__":
    print(measure(Path(sys.argv[1]), Path(sys.argv[2]), *(int(given) for given in sys.argv[3:])))
