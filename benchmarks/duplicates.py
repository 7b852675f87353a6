"""Near hashes among 100,000 and a million synthetic ones against comparing all pairs; the same pairs on HAM10000.

    python benchmarks/duplicates.py --images HAM10000

A hundredth of the synthetic hashes are copies of others with at most 8 bits changed; the others are independent, so
that real hashes, which lie closer together, take longer. Alternated repeats, medians; the million is timed once.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from selcn.data import hamming
from selcn.data.discovery import find_images
from selcn.data.duplicates import MAX_BITS, _hashes, read_fingerprint
from selcn.data.hamming import Pairs, find_near
from selcn.io.threads import thread_count
from timing import medians, seconds

BLOCK, REPEATS = 1024, 3
COUNTS = 100_000, 1_000_000
Works = dict[str, Callable[[], Pairs]]


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


def measure(images: Path | None = None, counts: tuple[int, int] = COUNTS) -> dict[str, float]:
    """Times, ratio, and whether the same pairs are found."""
    some, many = (synthetic(count) for count in counts)
    part = some[:BLOCK]
    works: Works = {"tables": lambda: find_near(some, some, MAX_BITS), "compared": lambda: compare_all(some, part)}
    taken = medians(works, REPEATS)
    found, expected = (work() for work in works.values())
    same = sorted(zip(*expected, strict=True)) == sorted(
        (one, of) for one, of in zip(*found, strict=True) if of < BLOCK
    )
    tables, compared, parts = taken["tables"], taken["compared"] * len(some) / BLOCK, -(-len(some) // BLOCK)
    result = {
        f"{len(some):,} hashes, seconds": tables,
        f"{len(some):,} hashes, all pairs compared, seconds (1 part of {parts} timed)": compared,
        "ratio": compared / tables,
        "the same pairs, of the part": float(same),
        f"{len(many):,} hashes, seconds": seconds(lambda: find_near(many, many, MAX_BITS)),
    }
    return {**result, **(real(images) if images else {})}


def real(images: Path) -> dict[str, float]:
    """The pairs of real images, in all turned and mirrored versions."""
    with ThreadPoolExecutor(thread_count()) as pool:
        thumbnails = np.stack([one.thumbnail for one in pool.map(read_fingerprint, find_images(images))])
    hashes = _hashes(thumbnails)
    works: Works = {
        "tables": lambda: find_near(hashes[0], hashes.ravel(), MAX_BITS),
        "compared": lambda: compare_all(hashes[0], hashes.ravel()),
    }
    taken = medians(works, REPEATS)
    found, expected = (work() for work in works.values())
    same = all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    return {
        "HAM10000, images": len(thumbnails),
        "HAM10000, pairs": len(found[0]),
        "HAM10000, the same pairs": float(same),
        "HAM10000, seconds": taken["tables"],
        "HAM10000, all pairs compared, seconds": taken["compared"],
    }


if __name__ == "__main__":
    assert hamming.MAX_COMPARED < 10_000**2
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    for name, value in measure(parser.parse_args().images).items():
        print(f"{name}: {value:.4g}")
