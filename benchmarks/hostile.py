"""Rows, crashes and memory over 5,000 mutated, mislabelled and hostile files, three times over (`selcn predict`).

python benchmarks/hostile.py BUNDLE FOLDER_OF_REAL_PICTURES [COUNT]
"""

import ctypes
import gc
import io
import os
import statistics
import struct
import sys
import tempfile
import zlib
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from selcn.inference.batch import ROWS, OutputOptions, predict_files, read_rows
from selcn.inference.inputs import Item
from selcn.inference.predictor import load

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))
from bombs import bombs, photograph, written

HALF_MIB = 2**19
PASSES = 3


def mutated(data: bytes, generator: np.random.Generator) -> bytes:
    """A file that was cut, had bytes changed, removed or doubled, or had its start changed."""
    changed = bytearray(data)
    match generator.integers(5):
        case 0:
            return bytes(changed[: generator.integers(1, len(changed))])
        case 1:
            for place in generator.integers(len(changed), size=generator.integers(1, 64)):
                changed[place] = generator.integers(256)
        case 2:
            start = generator.integers(len(changed))
            del changed[start : start + generator.integers(1, 4096)]
        case 3:
            start = generator.integers(len(changed))
            changed[start:start] = changed[start : start + 4096]
        case _:
            for place in generator.integers(min(64, len(changed)), size=4):
                changed[place] = generator.integers(256)
    return bytes(changed)


@cache
def crafted() -> dict[str, bytes]:
    """Files that mean harm, or lie about what they are or how large."""
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    small = io.BytesIO()
    Image.new("RGB", (8, 8)).save(small, "PNG")
    return {
        "empty.jpg": b"",
        "svg.jpg": svg,
        "html.jpg": b"<!doctype html><html><body onload=alert(1)>",
        "text.png": b"no picture " * 1000,
        "zeros.bmp": bytes(4096),
        "bomb.png": png_header(30_000, 30_000) + bytes(64),
        "zip.jpg": b"PK\x03\x04" + bytes(500),
        "tiny.png": small.getvalue(),
        "dicom.dcm": bytes(128) + b"DICM" + bytes(2000),
        "pickle.jpg": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        **{f"bomb-{name}": data for name, data, _ in bombs()},
    }


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size, with next to no data behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(HALF_MIB)))
        + chunk(b"IEND", b"")
    )


def as_dicom(data: bytes) -> bytes:
    """A picture as a visible-light DICOM image."""
    return written(photograph(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), "RGB"))


def hostile_items(originals: Path, count: int, seed: int = 0) -> list[Item]:
    """The crafted files, and mutations of real ones up to a count; kept in memory."""
    generator = np.random.default_rng(seed)
    files = sorted(path for path in originals.iterdir() if path.stat().st_size < 4 * 2**20)
    contents = {path.name: path.read_bytes() for path in files}
    contents |= {f"{name}.dcm": as_dicom(content) for name, content in list(contents.items())[::4]}
    names = list(contents)
    made = [Item(name, data) for name, data in crafted().items()]
    for number in range(count - len(made)):
        name = names[generator.integers(len(names))]
        made.append(Item(f"{number}-{name}", mutated(contents[name], generator)))
    return made


def resident(pid: int, kind: str = "VmRSS") -> float:
    """MiB that a process holds, or of `VmHWM` held at its peak."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024


class _Allocated(ctypes.Structure):
    """What glibc's mallinfo2 tells."""

    _fields_ = [(name, ctypes.c_size_t) for name in (*"abcdefg", "uordblks", "fordblks", "keepcost")]


def in_use() -> float:
    """MiB that a process has allocated and not freed, whatever of the freed it still holds."""
    gc.collect()
    ask = ctypes.CDLL("libc.so.6").mallinfo2
    ask.restype = _Allocated
    return int(ask().uordblks) / 2**20


def measure(bundle: Path, originals: Path, count: int = 5_000) -> dict[str, float]:
    """Files, rows, errors, and what memory did as the same files came again and again."""
    predictor = load(bundle, engine="onnx" if (bundle / "onnx").exists() else "torch")
    items = hostile_items(originals, count)
    held: list[list[float]] = [[] for _ in range(PASSES)]
    used: list[float] = []

    def watch(done: int, _: int) -> None:
        if done % 50 == 0:
            held[min(done // count, PASSES - 1)].append(resident(os.getpid()))
        if done and done % count == 0:
            used.append(in_use())

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        options = OutputOptions(overlays=False)
        errors = predict_files([predictor], items * PASSES, out, options=options, on_progress=watch)
        kinds = Counter("error" if "error" in row else "prediction" for row in read_rows(out / ROWS))
    assert len(errors) == kinds["error"]
    return {
        "files": len(items),
        "predictions": kinds["prediction"] // PASSES,
        "errors": kinds["error"] // PASSES,
        "MiB in use after the first pass, these files among them": used[0],
        "MiB more in use after the third": used[-1] - used[0],
        **{
            f"MiB held of the system in pass {one}, median": statistics.median(pass_)
            for one, pass_ in enumerate(held, 1)
        },
        "MiB held of the system at the peak": resident(os.getpid(), "VmHWM"),
    }


if __name__ == "__main__":
    print(measure(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 5_000))
