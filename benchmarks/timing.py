"""How benchmarks take times: alternated repeats of several works, so that a machine's mood meets all alike."""

import statistics
import time
from collections.abc import Callable, Mapping


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def medians(works: Mapping[str, Callable[[], object]], repeats: int, warm: int = 1) -> dict[str, float]:
    """Median seconds of each work by its name, after ``warm`` calls that do not count."""
    for _ in range(warm):
        for work in works.values():
            work()
    times = [{name: seconds(work) for name, work in works.items()} for _ in range(repeats)]
    return {name: statistics.median(one[name] for one in times) for name in works}
