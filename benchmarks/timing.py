"""How benchmarks take times: alternated repeats of several works, so that a machine's mood meets all alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

T = TypeVar("T")


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternated(works: Mapping[str, Callable[[], T]], repeats: int) -> dict[str, list[T]]:
    """What each work returns at each of several repeats, by its name; all works of a repeat follow one another."""
    rounds = [{name: work() for name, work in works.items()} for _ in range(repeats)]
    return {name: [one[name] for one in rounds] for name in works}


def medians(works: Mapping[str, Callable[[], object]], repeats: int, warm: int = 1) -> dict[str, float]:
    """Median seconds of each work by its name, after ``warm`` calls that do not count."""
    alternated(works, warm)
    times = alternated({name: partial(seconds, work) for name, work in works.items()}, repeats)
    return {name: statistics.median(taken) for name, taken in times.items()}
