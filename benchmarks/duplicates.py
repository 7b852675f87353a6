"""Near hashes among 100,000 and a million synthetic ones against comparing all pairs; the same pairs on HAM10000.

    python benchmarks/duplicates.py --images ../shared/data/ham10000

A hundredth of the synthetic hashes are copies of others with at most 8 bits changed; the others are independent, so
that real hashes, which lie closer together, take longer.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from selcn.data import hamming
from selcn.data.duplicates import MAX_BITS, _hashes, read_fingerprint
from selcn.data.hamming import find_near

BLOCK = 1024


def compare_all(hashes: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every pair compared, as before there were tables."""
    of, one = [], []
    for start in range(0, len(queries), BLOCK):
        found = np.nonzero(np.bitwise_count(queries[start : start + BLOCK, None] ^ hashes) <= MAX_BITS)
        of.append(found[0] + start)
        one.append(found[1])
    return np.concatenate(one), np.concatenate(of)


def synthetic(count: int) -> np.ndarray:
    """Hashes of which a hundredth are near copies of others."""
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 1 << 63, count, dtype=np.uint64)
    copies = generator.choice(count, count // 100, replace=False)
    originals = generator.integers(0, count, len(copies))
    for copy, original in zip(copies, originals, strict=True):
        flips = generator.choice(63, int(generator.integers(0, MAX_BITS + 1)), replace=False)
        hashes[copy] = hashes[original] ^ np.uint64(sum(1 << int(bit) for bit in flips))
    return hashes


def seconds(search: object, *given: object) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """Seconds of one call, and what it returned."""
    start = time.perf_counter()
    found = search(*given)  # type: ignore[operator]
    return time.perf_counter() - start, found


def measure(images: Path | None = None) -> dict[str, float]:
    """Times, ratio, and whether the same pairs are found."""
    hashes = synthetic(100_000)
    tables, found = seconds(find_near, hashes, hashes, MAX_BITS)
    part = hashes[:BLOCK]
    of_part, expected = seconds(compare_all, hashes, part)
    same = sorted(zip(*expected, strict=True)) == sorted(
        (one, of) for one, of in zip(*found, strict=True) if of < BLOCK
    )
    million, _ = seconds(find_near, *(synthetic(1_000_000),) * 2, MAX_BITS)
    result = {
        "100,000 hashes, seconds": tables,
        "100,000 hashes, all pairs compared, seconds (1 part of 98 timed)": of_part * len(hashes) / BLOCK,
        "ratio": of_part * len(hashes) / BLOCK / tables,
        "the same pairs, of the part": float(same),
        "1,000,000 hashes, seconds": million,
    }
    return {**result, **(real(images) if images else {})}


def real(images: Path) -> dict[str, float]:
    """The pairs of real images, in all turned and mirrored versions."""
    thumbnails = np.stack([read_fingerprint(path).thumbnail for path in sorted(images.rglob("*.jpg"))])
    hashes = _hashes(thumbnails)
    tables, found = seconds(find_near, hashes[0], hashes.ravel(), MAX_BITS)
    compared, expected = seconds(compare_all, hashes[0], hashes.ravel())
    same = all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    return {
        "HAM10000, images": len(thumbnails),
        "HAM10000, pairs": len(found[0]),
        "HAM10000, the same pairs": float(same),
        "HAM10000, seconds": tables,
        "HAM10000, all pairs compared, seconds": compared,
    }


if __name__ == "__main__":
    assert hamming.MAX_COMPARED < 10_000**2
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    for name, value in measure(parser.parse_args().images).items():
        print(f"{name}: {value:.4g}")
