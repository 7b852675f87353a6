"""One number of threads for all that computes, and the cores that a process may use."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
import typer
from typer.testing import CliRunner

from selcn.cli import app as selcn_app
from selcn.cli.options import with_threads
from selcn.io.threads import THREADS, usable_cores, use_threads


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (THREADS, "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    before = cv2.getNumThreads(), torch.get_num_threads()
    yield
    cv2.setNumThreads(before[0])
    torch.set_num_threads(before[1])


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores that a process is bound to are of Linux")
def test_cores_are_those_of_affinity_and_quota(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert usable_cores(tmp_path) == 8
    for text, cores in (("max 100000", 8), ("300000 100000", 3), ("20000 100000", 1), ("9900000 100000", 8)):
        (tmp_path / "cpu.max").write_text(f"{text}\n")
        assert usable_cores(tmp_path) == cores
    (tmp_path / "1" / "cpu").mkdir(parents=True)
    (tmp_path / "1" / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    for text, cores in (("-1", 8), ("200000", 2)):
        (tmp_path / "1" / "cpu" / "cpu.cfs_quota_us").write_text(f"{text}\n")
        assert usable_cores(tmp_path / "1") == cores


@pytest.mark.parametrize(("arguments", "threads"), [(["--threads", "3", "x"], 3), (["x"], 2)])
def test_the_option_holds_before_the_command_begins(
    arguments: list[str], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(THREADS, "2")
    app, seen = typer.Typer(), []

    def command(name: str) -> None:
        seen.append((name, cv2.getNumThreads(), torch.get_num_threads(), os.environ[THREADS]))

    app.command()(with_threads(command))
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert seen == [("x", threads, threads, str(threads))]


def test_without_a_number_all_usable_cores_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(THREADS)
    monkeypatch.setattr(sys.modules["selcn.io.threads"], "usable_cores", lambda: 2)
    assert use_threads() == cv2.getNumThreads() == torch.get_num_threads() == 2


def test_every_command_that_computes_has_the_option() -> None:
    def without(group: Any, above: str = "") -> set[str]:
        found = set()
        for name, one in group.commands.items():
            if hasattr(one, "commands"):
                found |= without(one, f"{above}{name} ")
            elif "threads" not in {option.name for option in one.params}:
                found.add(above + name)
        return found

    assert without(typer.main.get_command(selcn_app)) == {
        "annotations import",
        "config presets",
        "config show",
        "download",
    }


FAULTS = """
import ctypes, resource
from concurrent.futures import ThreadPoolExecutor
from selcn.io.threads import keep_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(size << 20)
    libc.memset(block, 1, size << 20)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def twice(size):
    faults(size)
    return faults(size)
def everywhere():
    with ThreadPoolExecutor(1) as pool:
        return twice(100), pool.submit(twice, 50).result()
before = everywhere()
keep_memory()
print(*before, *everywhere())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc than that of glibc")
def test_freed_memory_is_used_again_without_the_system() -> None:
    def faults(**more: str) -> list[int]:
        done = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, env={**own, **more})
        return [int(count) for count in done.stdout.split()]

    own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    *returned, kept, kept_in_thread = faults()
    assert min(returned) >= 25  # as pages of 4 KiB, or of 2 MiB
    assert kept < returned[0] / 10
    assert kept_in_thread < returned[1] / 10
    *_, as_asked, _ = faults(MALLOC_MMAP_THRESHOLD_=str(1 << 20))
    assert as_asked >= 25, "what the environment asks for stays"
