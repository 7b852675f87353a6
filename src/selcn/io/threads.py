"""What a process computes with: one number of threads for all libraries, and freed memory that it keeps."""

import ctypes
import os
import sys
from pathlib import Path

import cv2

THREADS = "OMP_NUM_THREADS"
_VARIABLES = (THREADS, "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_CGROUP = Path("/sys/fs/cgroup")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST = (1 << 30, 1 << 25)
"""Bytes up to which blocks are kept; the second is the most that an older glibc takes."""


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """The cores that this process may use: those it is bound to, but no more than its control group allows; at least 1.

    Args:
        cgroup: folder of the control group, version 2 or 1.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return bound if quota is None else max(1, min(bound, round(quota)))


def use_threads(threads: int | None = None) -> int:
    """Let everything compute on this many threads, in this process and in those that it starts.

    Args:
        threads: how many; None for what the environment variable ``OMP_NUM_THREADS`` says, else for `usable_cores`.

    Returns:
        How many they are.
    """
    count = threads or thread_count()
    os.environ.update(dict.fromkeys(_VARIABLES, str(count)))  # read by libraries that are imported later
    cv2.setNumThreads(count)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(count)
    return count


def thread_count() -> int:
    """How many threads compute where no other number is asked for: what `use_threads` was given, else its default."""
    return wanted_threads() or usable_cores()


def wanted_threads() -> int | None:
    """What the environment variable ``OMP_NUM_THREADS`` says; None where it says no number above 0."""
    text = os.environ.get(THREADS, "")
    return int(text) if text.isdecimal() and int(text) else None


def keep_memory() -> None:
    """Let this process use freed memory again in place of returning it to the system; nothing where there is no glibc.

    PyTorch frees the features of every layer. glibc returns what is larger than 32 MiB, and what lies at the end of
    its heap, at once, and the system clears each page anew. In threads other than the first, blocks above their heaps'
    64 MiB are returned as before. What the environment asks of glibc stays. See mallopt(3).
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # Windows, macOS, musl
        return
    if any(mallopt(_MMAP_THRESHOLD, largest) for largest in _LARGEST):
        mallopt(_TRIM_THRESHOLD, _LARGEST[0])


def _quota(cgroup: Path) -> float | None:
    """Cores by the quota of processor time; None where there is none."""
    try:
        if (cgroup / "cpu.max").is_file():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # "max"
        return None
