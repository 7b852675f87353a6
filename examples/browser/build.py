"""Write a page that predicts in the browser, without a server: bundle, runtime and page in one HTML file.

npm install --prefix examples/browser        # onnxruntime-web, once
selcn run demo --out runs/page --set prepare.hair=false
selcn export runs/page/bundle
python examples/browser/build.py runs/page/bundle page.html
"""

import argparse
import base64
import json
import sys
from pathlib import Path

import onnxruntime

from selcn.errors import ConfigError, SelcnError
from selcn.inference.bundle import BundleConfig, read_export
from selcn.inference.onnx.names import keeps_largest_region, masked_between, output_names

HERE = Path(__file__).parent
RUNTIME = HERE / "node_modules" / "onnxruntime-web" / "dist"
COMPUTED = {"lae"}
"""Maskings that cascade.js computes between the graphs."""


def describe(config: BundleConfig, graphs: list[Path]) -> str:
    """What cascade.js needs to know of a bundle, as JSON.

    Args:
        config: of the bundle.
        graphs: its files, in the order they run.

    Raises:
        ConfigError: it prepares or masks images in a way that cascade.js does not.
    """
    if config.prepare.hair:
        raise ConfigError("prepare.hair: this page removes no hair; give a bundle of a run with prepare.hair=false")
    if unknown := set(masked_between(config)) - COMPUTED:
        raise ConfigError(f"masking {', '.join(unknown)}: not in this page; give a bundle without")
    found = []
    for graph in graphs:
        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        inputs = [
            {"name": one.name, "type": one.type.removeprefix("tensor(").rstrip(")"), "shape": list(one.shape[1:])}
            for one in session.get_inputs()
        ]
        found.append({"inputs": inputs, "outputs": [one.name for one in session.get_outputs()]})
    about = {
        "config": json.loads(config.model_dump_json(include={"name", "target", "prepare", "reliability", "selcn"})),
        "classifiers": {name: {"classes": list(config.labels(name).names)} for name in config.classifiers},
        "names": output_names(config),
        "between": masked_between(config),
        "largest": keeps_largest_region(config),
        "graphs": found,
    }
    return json.dumps(about).replace("<", "\\u003c")


def build(bundle: Path, out: Path) -> None:
    """Write the page of an exported bundle.

    Args:
        bundle: its folder.
        out: file to write to.

    Raises:
        ConfigError: onnxruntime-web is not there, or the page cannot do what the bundle wants.
        RunError: no bundle, or it was not exported.
    """
    if not RUNTIME.is_dir():
        raise ConfigError(f"{RUNTIME}: is missing; npm install --prefix {HERE}")
    config, graphs = read_export(bundle)
    embedded = {
        "{{bundle}}": describe(config, graphs),
        "{{runtime}}": _embedded(RUNTIME / "ort.wasm.bundle.min.mjs"),
        "{{wasm}}": _embedded(RUNTIME / "ort-wasm-simd-threaded.wasm"),
        "{{cascade}}": _embedded(HERE / "cascade.js"),
        "{{graphs}}": "\n".join(f'<script type="text/plain" class="graph">{_embedded(one)}</script>' for one in graphs),
    }
    page = (HERE / "page.html").read_text(encoding="utf-8")
    for mark, value in embedded.items():
        page = page.replace(mark, value)
    out.write_text(page, encoding="utf-8")


def _embedded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a page that predicts in the browser, without a server.")
    parser.add_argument("bundle", type=Path, help="an exported bundle")
    parser.add_argument("out", type=Path, help="the page to write")
    arguments = parser.parse_args()
    try:
        build(arguments.bundle, arguments.out)
    except SelcnError as error:
        sys.exit(f"error: {error}")
