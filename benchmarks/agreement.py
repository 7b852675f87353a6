"""Predictions of a bundle for real images through Python, the command, ONNX Runtime and HTTP, side by side.

python benchmarks/agreement.py FOLDER_OF_REAL_PICTURES BUNDLE ...    # exported ones
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from clients import serving
from selcn.data.discovery import find_images
from selcn.inference.batch import ROWS, read_rows
from selcn.inference.predictor import load

Row = dict[str, Any]


def through_python(bundle: Path, images: list[Path]) -> list[Row]:
    """`selcn.load(bundle).predict(image)`."""
    predictor = load(bundle)
    return [json.loads(json.dumps(predictor.predict(image).to_json())) for image in images]


def through_command(bundle: Path, images: list[Path], engine: str) -> list[Row]:
    """`selcn predict`, in a process of its own."""
    program = [str(Path(sys.executable).with_name("selcn")), "predict", str(bundle)]
    with tempfile.TemporaryDirectory() as out:
        asked = [*program, *map(str, images), "--no-overlays", "--engine", engine, "--out", out]
        subprocess.run(asked, check=True, capture_output=True)
        return list(read_rows(Path(out) / ROWS))


def through_http(bundle: Path, images: list[Path]) -> list[Row]:
    """`POST /v1/predict` to `selcn serve`, four images a request."""
    rows: list[Row] = []
    with serving(bundle) as (address, _), httpx.Client(timeout=120) as client:
        for start in range(0, len(images), 4):
            files = [("images", (path.name, path.read_bytes())) for path in images[start : start + 4]]
            rows += client.post(f"{address}/v1/predict", files=files).raise_for_status().json()["predictions"]
    return rows


def apart(a: Row, b: Row) -> dict[str, float]:
    """How far two rows of an image are from one another."""
    networks = [name.removesuffix("_saliency") for name in a if name.endswith("_saliency")]
    shares = [abs(a["lesion"]["share"] - b["lesion"]["share"])] if "lesion" in a else []
    for network in networks:
        one, other = a[network]["probabilities"], b[network]["probabilities"]
        shares += [abs(one[name] - other[name]) for name in one]
    maps = [np.abs(np.subtract(a[f"{name}_saliency"], b[f"{name}_saliency"])).max() for name in networks]
    return {
        "furthest probability or share": float(max(shares)),
        "furthest saliency": float(max(maps)),
        "images with other answers": float(answer(a, networks) != answer(b, networks)),
    }


def answer(row: Row, networks: list[str]) -> list[Any]:
    """The predicted classes, the warnings, and whether to abstain."""
    return [*(row[name]["prediction"] for name in networks), row["warnings"], row["abstain"]]


def measure(originals: Path, *bundles: Path) -> dict[str, float]:
    """The largest distance of each way from Python, over all images."""
    images = find_images(originals)
    found: dict[str, float] = {"images": len(images)}
    for bundle in bundles:
        expected = through_python(bundle, images)
        of = " and ".join(source["name"] for source in json.loads((bundle / "config.json").read_text())["sources"])
        ways = {
            "the command": through_command(bundle, images, "torch"),
            "ONNX Runtime": through_command(bundle, images, "onnx"),
            "HTTP (ONNX Runtime)": through_http(bundle, images),
        }
        for way, rows in ways.items():
            distances = [apart(row, other) for row, other in zip(expected, rows, strict=True)]
            for name in distances[0]:
                gather = sum if name.startswith("images") else max
                found[f"{of}, {way}: {name}"] = gather(one[name] for one in distances)
    return found


if __name__ == "__main__":
    for name, value in measure(*(Path(path) for path in sys.argv[1:])).items():
        print(f"{name}: {value:g}")
