"""What ten million images cost: hours, machines and bytes, from the rates of docs/results/benchmarks.json.

python benchmarks/ten_million.py [IMAGES]    # prints the table of docs/cluster.md
"""

import json
import sys
from pathlib import Path

IMAGES, CORES = 10_000_000, 2
"""Images, and the cores that the rates were measured on."""
MACHINES, CORES_EACH = 10, 16
SIZE, GRID = (256, 192), (13, 13)
"""Of a prepared image, and of a map of SqueezeNet at 224x224."""
FINGERPRINT = 32 + 32 * 32
"""Bytes of a checksum and a thumbnail, which the search for near-duplicates holds in memory."""
READ = 300_000
"""Bytes of an image file: assumed, about a JPEG of 600x450."""
PAGE = 1_000
"""Files of one request that lists."""
RESULTS = Path(__file__).parent.parent / "docs" / "results" / "benchmarks.json"


def rates() -> dict[str, float]:
    """Seconds an image of each command, on `CORES` cores."""
    measured = json.loads(RESULTS.read_text())

    def value(title: str, figure: str) -> float:
        (found,) = [row for row in measured if row["benchmark"].startswith(title) and row["figure"] == figure]
        return float(found["value"])

    decoding = value("A prepared store", "64 images from PNG at 600x450, ms") / 64_000 / CORES
    return {
        "audit": value("Seconds to audit 10,000", "seconds") / 10_000,
        "prepare": value("A prepared store", "building 10,000, seconds") / 10_000,
        "predict, light, ONNX": value("Milliseconds an image", "light, selcn in ONNX Runtime, ms") / 1000 + decoding,
        "predict, thesis, ONNX": value("Milliseconds an image", "thesis, selcn in ONNX Runtime, ms") / 1000 + decoding,
        "saliency, light, PyTorch": value("Milliseconds an image", "light, selcn in PyTorch, ms") / 1000 + decoding,
    }


def table(images: int = IMAGES) -> str:
    """Markdown: core hours, hours on some machines, and bytes that the result has."""
    written = {
        "audit": (FINGERPRINT, "in memory"),
        "prepare": (SIZE[0] * SIZE[1] * 4, "twice while shards are joined"),
        "saliency, light, PyTorch": (GRID[0] * GRID[1] * 4, "at 13x13"),
    }
    rows = []
    for name, seconds in rates().items():
        hours = seconds * CORES * images / 3600
        each, note = written.get(name, (0, ""))
        size = f"{each * images / 1e9:,.0f} GB ({note})" if each else "rows, and images as asked for"
        rows.append(
            f"| {name} | {1000 * seconds:.1f} ms | {hours:,.0f} | {hours / MACHINES / CORES_EACH:.1f} | {size} |"
        )
    wide = f"hours on {MACHINES} machines of {CORES_EACH} cores"
    head = f"| command | an image, {CORES} cores | core hours | {wide} | result |"
    return "\n".join([head, "|---|---:|---:|---:|---|", *rows]) + "\n"


def reading(images: int = IMAGES) -> str:
    """What reading the images from object storage takes."""
    terabytes = READ * images / 1e12
    hours = READ * images * 8 / 1e9 / MACHINES / 3600
    return (
        f"Files of {READ / 1e6:.1f} MB are {terabytes:.0f} TB: {hours:.1f} hours for {MACHINES} machines at 1 Gbit/s "
        f"each, in {2 * images:,} requests."
        "\n\n| requests | of | number |\n|---|---|---:|\n"
        f"| GET | jobs, an image when its turn comes | {images:,} |\n"
        f"| HEAD | jobs, an image's size and tag when its shard begins | {images:,} |\n"
        f"| LIST | the command, names, and again sizes and tags, {PAGE:,} a request | {2 * images // PAGE:,} |"
    )


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    print(table(number))
    print(reading(number))
