"""A bundle, some pictures, and real servers."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

import selcn
from selcn.inference import Predictor
from selcn.serving.app import create_app


@pytest.fixture(scope="session")
def predictor(tiny_run: Path) -> Predictor:
    """A bundle."""
    return selcn.load(tiny_run / "bundle")


@pytest.fixture(scope="session")
def pictures(tiny_run: Path) -> list[Path]:
    """Some of the run's."""
    return sorted((tiny_run / "data" / "phantom" / "images").iterdir())[:6]


@contextmanager
def serving(predictor: Predictor, *given: Any, **settings: Any) -> Iterator[str]:
    """A real server on a free port; its address."""
    app = create_app(predictor, *given, **settings)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_keep_alive=5, lifespan="on"))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def serve() -> Callable[..., AbstractContextManager[str]]:
    """Starts servers, as a context that knows the address."""
    return serving
