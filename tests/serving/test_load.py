"""Large images, clients that leave, and the end of a server: none keeps others waiting."""

import asyncio
import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

import selcn
from selcn.data.imaging.read import decode_frames
from selcn.inference.predictor import Predictor
from selcn.inference.result import Outputs
from selcn.serving.room import MAX_ORDINARY, QueueFull, Room, Threads, TooManyPixels
from selcn.serving.uploads import Limits

Serve = Callable[..., AbstractContextManager[str]]
PNG = {"content-type": "image/png"}
SIDE, ATTACKERS = 4_000, 16


@pytest.fixture(scope="module")
def large() -> bytes:
    """A PNG of 16 million pixels in 50 KB."""
    file = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (200, 150, 140)).save(file, "PNG")
    return file.getvalue()


def ask(address: str, data: bytes) -> int:
    """Status of the response."""
    return httpx.post(f"{address}/v1/predict", content=data, headers=PNG, timeout=60).status_code


def waited(address: str, expected: str, seconds: float = 10) -> bool:
    """Whether the metrics come to say something."""
    end = time.monotonic() + seconds
    while expected not in httpx.get(f"{address}/metrics").text:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_ordinary_images_do_not_wait_for_large_ones(
    serve: Serve, predictor: Predictor, pictures: list[Path], large: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = threading.Event()

    def held(data: bytes, path: Path, max_pixels: int | None = None) -> list[np.ndarray]:
        if data == large:
            hold.wait(60)
        return decode_frames(data, path, max_pixels)

    monkeypatch.setattr("selcn.serving.service.decode_frames", held)
    limits = Limits(waiting_pixels=4 * SIDE**2)
    with serve(predictor, limits=limits) as address, ThreadPoolExecutor(ATTACKERS) as attackers:
        ask(address, pictures[0].read_bytes())
        attack = [attackers.submit(ask, address, large) for _ in range(ATTACKERS)]
        assert waited(address, f"selcn_waiting_pixels {4.0 * SIDE**2 / 1e7:g}e+07")
        before = [ask(address, picture.read_bytes()) for picture in pictures[:3]]
        done = [future.result() for future in attack if future.done()]
        hold.set()
        assert before == [200] * 3
        assert 200 not in done, "a large image came before the ordinary ones"
        statuses = [future.result() for future in attack]
    assert (statuses.count(200), statuses.count(429)) == (4, 12)


def test_large_images_that_never_find_room_are_too_large(
    serve: Serve, predictor: Predictor, pictures: list[Path], large: bytes
) -> None:
    with serve(predictor, limits=Limits(waiting_pixels=SIDE**2 - 1)) as address:
        assert ask(address, large) == 413
        assert ask(address, pictures[0].read_bytes()) == 200


def test_room_is_given_back_whatever_happens() -> None:
    room = Room(3, 100)
    with room.of_images(2), room.of_pixels(60):
        with pytest.raises(QueueFull), room.of_images(2):
            pass
        with pytest.raises(QueueFull), room.of_pixels(41):
            pass
        with pytest.raises(TooManyPixels), room.of_pixels(101):
            pass
        with pytest.raises(ZeroDivisionError), room.of_images(1), room.of_pixels(40):
            1 / 0  # noqa: B018
        assert (room.images, room.pixels) == (2, 60)
    assert (room.images, room.pixels) == (0, 0)


def test_what_is_cancelled_is_not_begun() -> None:
    begun: list[str] = []

    async def work() -> None:
        threads, hold = Threads(), threading.Event()
        first = asyncio.ensure_future(threads.call(MAX_ORDINARY + 1, hold.wait))
        second = asyncio.ensure_future(threads.call(MAX_ORDINARY + 1, begun.append, "cancelled"))
        await threads.call(MAX_ORDINARY, begun.append, "ordinary")
        second.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await second
        hold.set()
        await first
        await threads.call(MAX_ORDINARY + 1, begun.append, "next")
        threads.close()

    asyncio.run(work())
    assert begun == ["ordinary", "next"]


def test_a_client_that_leaves_stops_costing(
    serve: Serve, predictor: Predictor, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    infer, hold = predictor.infer, threading.Event()

    def held(prepared: np.ndarray, given: list[selcn.Given]) -> Outputs:
        hold.wait(30)
        return infer(prepared, given)

    monkeypatch.setattr(predictor, "infer", held)
    data = pictures[0].read_bytes()
    with serve(predictor) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            head = f"POST /v1/predict HTTP/1.1\nhost: x\ncontent-type: image/png\ncontent-length: {len(data)}\n\n"
            client.sendall(head.replace("\n", "\r\n").encode() + data)
            assert waited(address, "selcn_waiting_pictures 1.0")
        assert waited(address, "selcn_waiting_pictures 0.0")
        assert waited(address, 'selcn_requests_total{path="/v1/predict",status="499"} 1.0')
        hold.set()
        assert ask(address, data) == 200


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without a signal")
def test_a_server_at_work_ends_within_ten_seconds(tiny_run: Path, large: bytes) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = [sys.executable, "-c", "from selcn.cli import main; main()", "serve", str(tiny_run / "bundle")]
    asked = [*program, "--port", str(port), "--no-page"]
    server = subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"

    def attack(_: int) -> None:
        with contextlib.suppress(httpx.HTTPError):  # the end of the server
            ask(address, large)

    try:
        with ThreadPoolExecutor(4) as attackers:
            while not _answers(port):
                assert server.poll() is None
                time.sleep(0.1)
            attack_all = attackers.map(attack, range(4))
            assert waited(address, f"selcn_waiting_pixels {4.0 * SIDE**2 / 1e7:g}e+07")
            begun = time.monotonic()
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)
            assert time.monotonic() - begun < 10
            list(attack_all)
    finally:
        server.kill()


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
