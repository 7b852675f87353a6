"""A server under 50 clients for 60 s, two attacks with large files, then 5,000 hostile ones: its answers and memory.

python benchmarks/clients.py BUNDLE FOLDER_OF_REAL_PICTURES [SECONDS] [FILES]
"""

import asyncio
import io
import itertools
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import httpx
from PIL import Image

from hostile import crafted, hostile_items, resident

CLIENTS, ATTACKERS = 50, 16
HEADERS = {"content-type": "image/jpeg"}
REFUSED = 429


def serving(bundle: Path) -> AbstractContextManager[tuple[str, int]]:
    """`selcn serve` in a process of its own: its address and process number."""
    program = [str(Path(sys.executable).with_name("selcn")), "serve", str(bundle)]
    return listening([*program, "--engine", engine_of(bundle), "--port"])


def engine_of(bundle: Path) -> str:
    """The fastest engine that a bundle has."""
    return "onnx" if (bundle / "onnx").exists() else "torch"


@contextmanager
def listening(command: list[str]) -> Iterator[tuple[str, int]]:
    """A server that gets a free port as its last argument: its address and process number."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([*command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not answers(port):
            assert process.poll() is None, "the server did not start"
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    """Whether someone listens."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def watched(pid: int) -> AsyncIterator[list[float]]:
    """The memory of a process, each second."""
    seen: list[float] = []

    async def look() -> None:
        while True:
            seen.append(resident(pid))
            await asyncio.sleep(1)

    task = asyncio.create_task(look())
    yield seen
    task.cancel()


async def crowd(address: str, pid: int, pictures: list[bytes], seconds: float) -> dict[str, float]:
    """Clients that each ask as soon as they are answered."""
    statuses: Counter[int] = Counter()
    took: list[float] = []
    turns, end = itertools.cycle(pictures), time.monotonic() + seconds

    async def ask(client: httpx.AsyncClient) -> None:
        while time.monotonic() < end:
            begun = time.monotonic()
            answer = await client.post(f"{address}/v1/predict", content=next(turns), headers=HEADERS)
            statuses[answer.status_code] += 1
            if answer.status_code == REFUSED:
                await asyncio.sleep(float(answer.headers["retry-after"]))
            else:
                took.append(time.monotonic() - begun)

    async with httpx.AsyncClient(timeout=120) as client, watched(pid) as memory:
        await asyncio.gather(*(ask(client) for _ in range(CLIENTS)))
    third = len(memory) // 3
    return {
        "clients": CLIENTS,
        "answers": statuses[200],
        "answers a second": statuses[200] / seconds,
        "answers 429": statuses[REFUSED],
        "other answers": statuses.total() - statuses[200] - statuses[REFUSED],
        "median seconds to an answer": statistics.median(took),
        "95 % of answers within, seconds": statistics.quantiles(took, n=20)[-1],
        "MiB more at the peak of the last third than of the second": max(memory[-third:]) - max(memory[third:-third]),
    }


async def attack(address: str, pid: int, kind: str, files: list[bytes], picture: bytes) -> dict[str, float]:
    """Files that all come at once, while one client sends ordinary images one after the other."""
    statuses: Counter[int] = Counter()
    took: list[float] = []
    before = resident(pid)
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew

    async def ask(client: httpx.AsyncClient, data: bytes) -> int:
        answer = await client.post(f"{address}/v1/predict", content=data, headers=HEADERS)
        return answer.status_code

    async with httpx.AsyncClient(timeout=120) as client:
        attackers = [asyncio.create_task(ask(client, data)) for data in files]
        while not took or not all(attacker.done() for attacker in attackers):
            begun = time.monotonic()
            statuses[await ask(client, picture)] += 1
            took.append(time.monotonic() - begun)
        answers = Counter([await attacker for attacker in attackers])
    return {
        f"{kind}: requests at once": len(files),
        **{f"{kind}: answered {status}": count for status, count in sorted(answers.items())},
        f"{kind}: ordinary images beside them": statuses.total(),
        f"{kind}: ordinary images answered 200": statuses[200],
        f"{kind}: slowest ordinary image, seconds": max(took),
        f"{kind}: MiB more at the peak": resident(pid, "VmHWM") - before,
    }


def square(side: int) -> bytes:
    """A PNG of one colour, far smaller than what it unpacks to."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), (200, 150, 140)).save(file, "PNG")
    return file.getvalue()


async def harm(address: str, pid: int, files: Iterator[bytes]) -> dict[str, float]:
    """Hostile files, eight at a time."""
    statuses: Counter[int] = Counter()

    async def ask(client: httpx.AsyncClient) -> None:
        for data in files:
            answer = await client.post(f"{address}/v1/predict", content=data, headers=HEADERS)
            statuses[answer.status_code // 100] += 1

    async with httpx.AsyncClient(timeout=120) as client, watched(pid) as memory:
        await asyncio.gather(*(ask(client) for _ in range(8)))
        health = await client.get(f"{address}/healthz")
    fifth = len(memory) // 5
    return {
        "hostile files": statuses.total(),
        "hostile files answered 200": statuses[2],
        "hostile files answered 4xx": statuses[4],
        "hostile files answered otherwise": statuses.total() - statuses[2] - statuses[4],
        "alive afterwards": float(health.is_success),
        "MiB more at the peak after the first fifth": max(memory[fifth:]) - max(memory[:fifth]),
    }


def measure(bundle: Path, originals: Path, seconds: float = 60, count: int = 5_000) -> dict[str, float]:
    """One server, both kinds of visitors."""
    pictures = [path.read_bytes() for path in sorted(originals.glob("*.jpg"))]
    files = (item.data or b"" for item in hostile_items(originals, count))
    bombs = [data for name, data in crafted().items() if name.startswith("bomb-")]
    attacks = {  # the one that outlasts its answers last
        "deflated DICOM of 100 MiB more than claimed": [crafted()["bomb-deflate"]] * ATTACKERS,
        "bombs of every format": bombs,
        f"PNG of 7,000 x 7,000, {len(square(7_000)) // 1024} KiB": [square(7_000)] * ATTACKERS,
    }
    with serving(bundle) as (address, pid):
        crowded = asyncio.run(crowd(address, pid, pictures, seconds))
        for kind, attackers in attacks.items():
            crowded |= asyncio.run(attack(address, pid, kind, attackers, pictures[0]))
        return crowded | asyncio.run(harm(address, pid, files))


if __name__ == "__main__":
    print(measure(Path(sys.argv[1]), Path(sys.argv[2]), *(int(given) for given in sys.argv[3:])))
