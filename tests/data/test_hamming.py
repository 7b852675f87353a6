"""Pairs of near hashes against a comparison of all pairs."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selcn.data import hamming
from selcn.data.hamming import find_near


def compared(hashes: np.ndarray, queries: np.ndarray, max_bits: int) -> list[tuple[int, int]]:
    of, one = np.nonzero(np.bitwise_count(queries[:, None] ^ hashes[None]) <= max_bits)
    return [*zip(one.tolist(), of.tolist(), strict=True)]


def near(hashes: np.ndarray, queries: np.ndarray, max_bits: int) -> list[tuple[int, int]]:
    one, of = find_near(hashes, queries, max_bits)
    return [*zip(one.tolist(), of.tolist(), strict=True)]


@pytest.fixture(scope="module", params=[0, hamming.MAX_COMPARED], ids=["tables", "all"])
def _search(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hamming, "MAX_COMPARED", request.param)
        yield


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 999), st.integers(0, 8), st.sampled_from([0, 3, 40]))
@pytest.mark.usefixtures("_search")
def test_the_same_pairs_come_out_as_from_comparing_all(seed: int, max_bits: int, common: int) -> None:
    generator = np.random.default_rng(seed)
    hashes = generator.integers(0, 1 << 64, 60, dtype=np.uint64)
    hashes[:common] = hashes[0]  # a crowded entry of each table
    flips = [sum(1 << int(bit) for bit in generator.choice(64, n % 13, replace=False)) for n in range(len(hashes))]
    queries = np.concatenate([hashes ^ np.array(flips, np.uint64), hashes[:3]])
    expected = compared(hashes, queries, max_bits)
    assert near(hashes, queries, max_bits) == expected
    assert len(expected) >= 3


@pytest.mark.usefixtures("_search")
def test_large_answers_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.repeat(np.array([5, 9], np.uint64), [6, 2])
    expected = compared(hashes, hashes, 2)
    monkeypatch.setattr(hamming, "_MAX_CANDIDATES", 7)
    assert near(hashes, hashes, 2) == expected
    assert near(hashes[:0], hashes, 2) == near(hashes, hashes[:0], 2) == []
