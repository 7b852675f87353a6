"""What a bundle says of real pictures through Python, the command, ONNX Runtime and HTTP, beside one another.

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


def through_python(bundle: Path, pictures: list[Path]) -> list[Row]:
    """`selcn.load(bundle).predict(picture)`."""
    predictor = load(bundle)
    return [json.loads(json.dumps(predictor.predict(picture).to_json())) for picture in pictures]


def through_command(bundle: Path, pictures: list[Path], engine: str) -> list[Row]:
    """`selcn predict`, in a process of its own."""
    program = [str(Path(sys.executable).with_name("selcn")), "predict", str(bundle)]
    with tempfile.TemporaryDirectory() as out:
        asked = [*program, *map(str, pictures), "--no-overlays", "--engine", engine, "--out", out]
        subprocess.run(asked, check=True, capture_output=True)
        return list(read_rows(Path(out) / ROWS))


def through_http(bundle: Path, pictures: list[Path]) -> list[Row]:
    """`POST /v1/predict` to `selcn serve`, four pictures a request."""
    rows: list[Row] = []
    with serving(bundle) as (address, _), httpx.Client(timeout=120) as client:
        for start in range(0, len(pictures), 4):
            files = [("images", (path.name, path.read_bytes())) for path in pictures[start : start + 4]]
            rows += client.post(f"{address}/v1/predict", files=files).raise_for_status().json()["predictions"]
    return rows


def apart(a: Row, b: Row) -> dict[str, float]:
    """How far two rows of a picture are from one another."""
    figures = [abs(a["lesion"]["share"] - b["lesion"]["share"])]
    for head in ("symmetry", "diagnosis"):
        one, other = a[head]["probabilities"], b[head]["probabilities"]
        figures += [abs(one[name] - other[name]) for name in one]
    maps = [np.abs(np.subtract(a[name], b[name])).max() for name in ("symmetry_saliency", "diagnosis_saliency")]
    return {
        "furthest probability or share": float(max(figures)),
        "furthest saliency": float(max(maps)),
        "pictures otherwise judged": float(judged(a) != judged(b)),
    }


def judged(row: Row) -> tuple[Any, ...]:
    """What is said of a picture in words."""
    return row["diagnosis"]["prediction"], row["symmetry"]["prediction"], row["warnings"], row["abstain"]


def measure(originals: Path, *bundles: Path) -> dict[str, float]:
    """The furthest of each way from Python, over all pictures."""
    pictures = find_images(originals)
    figures: dict[str, float] = {"pictures": len(pictures)}
    for bundle in bundles:
        expected = through_python(bundle, pictures)
        of = " and ".join(source["name"] for source in json.loads((bundle / "config.json").read_text())["sources"])
        ways = {
            "the command": through_command(bundle, pictures, "torch"),
            "ONNX Runtime": through_command(bundle, pictures, "onnx"),
            "HTTP (ONNX Runtime)": through_http(bundle, pictures),
        }
        for way, rows in ways.items():
            found = [apart(row, other) for row, other in zip(expected, rows, strict=True)]
            for name in found[0]:
                gather = sum if name.startswith("pictures") else max
                figures[f"{of}, {way}: {name}"] = gather(one[name] for one in found)
    return figures


if __name__ == "__main__":
    for name, value in measure(*(Path(path) for path in sys.argv[1:])).items():
        print(f"{name}: {value:g}")
