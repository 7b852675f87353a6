"""Pairs of 64-bit hashes that differ in few bits, without comparing every pair.

Multi-index hashing (Norouzi, Punjani & Fleet 2012, Fast search in Hamming space with multi-index hashing,
doi:10.1109/CVPR.2012.6248043): two hashes that differ in at most r bits differ in at most r // 3 bits in one of three
pieces of them. Each piece has a table of the hashes that hold a value, in which all values within r // 3 bits of a
query's own are looked up; what is found is compared in full. The same pairs come out as from comparing all, which is
quicker for a few thousand hashes and done for these.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

_PIECES = ((0, 21), (21, 21), (42, 22))
"""First bit and width of each piece of a hash."""
_QUERIES = 256
"""Queries that are compared with all hashes at a time."""
_MAX_CANDIDATES = 1 << 19
"""Pairs that are compared at a time, a few tens of MiB of row numbers and hashes."""
MAX_COMPARED = 1 << 26
"""Pairs of a hash and a query up to which all are compared."""
TABLE_BYTES = 4 * ((1 << max(width for _, width in _PIECES)) + 1)
"""Memory of the largest table of a piece."""
Pairs = tuple[np.ndarray, np.ndarray]


def find_near(hashes: np.ndarray, queries: np.ndarray, max_bits: int) -> Pairs:
    """Each pair of a hash and a query that differ in few bits, once, ordered by query and hash.

    Args:
        hashes: uint64 (N,).
        queries: uint64 (M,).
        max_bits: by which a hash and a query may differ, at least 0; the time grows steeply with ``max_bits // 3``.

    Returns:
        Rows of the hashes and rows of the queries, int64 (P,) each.
    """
    found: list[Pairs] = []
    if len(hashes) * len(queries) <= MAX_COMPARED:
        for start in range(0, len(queries), _QUERIES):
            of, one = np.nonzero(np.bitwise_count(queries[start : start + _QUERIES, None] ^ hashes) <= max_bits)
            found.append((one, of + start))
        return _once(found, len(hashes))
    for shift, width in _PIECES:
        parts = [(values >> np.uint64(shift)) & np.uint64((1 << width) - 1) for values in (hashes, queries)]
        piece, wanted = (part.astype(np.int64) for part in parts)
        order = np.argsort(piece, kind="stable")
        # Rows whose piece is v are order[starts[v] : starts[v + 1]]. 32 bits, since few hashes need as large a table.
        starts = np.zeros((1 << width) + 1, np.int32)
        held, counts = np.unique(piece, return_counts=True)
        starts[held + 1] = counts
        np.cumsum(starts, out=starts)
        for mask in _masks(width, max_bits // len(_PIECES)):
            first, last = starts[wanted ^ mask], starts[(wanted ^ mask) + 1]
            for rows, of in _candidates(first, last):
                one = order[rows]
                near = np.bitwise_count(hashes[one] ^ queries[of]) <= max_bits
                found.append((one[near], of[near]))
    return _once(found, len(hashes))


def _masks(width: int, bits: int) -> list[int]:
    """All numbers of ``width`` bits of which at most ``bits`` are set."""
    return [
        sum(1 << bit for bit in chosen) for count in range(bits + 1) for chosen in combinations(range(width), count)
    ]


def _candidates(first: np.ndarray, last: np.ndarray) -> Iterator[Pairs]:
    """Positions from each ``first`` to its ``last``, and whose they are, in parts of bounded size."""
    of = np.flatnonzero(last > first)
    counts = (last - first)[of]
    ends = counts.cumsum()
    done = 0
    while done < len(of):
        before = ends[done - 1] if done else 0
        stop = max(done + 1, int(np.searchsorted(ends, before + _MAX_CANDIDATES, side="right")))
        count = counts[done:stop]
        whose = np.repeat(of[done:stop], count)
        within = np.arange(len(whose)) - np.repeat(count.cumsum() - count, count)
        yield first[whose] + within, whose
        done = stop


def _once(found: list[Pairs], hashes: int) -> Pairs:
    keys = np.unique(np.concatenate([np.empty(0, np.int64), *(of * hashes + one for one, of in found)]))
    return keys % max(hashes, 1), keys // max(hashes, 1)
