"""What several test folders need: a small phantom, tiny networks, a tiny run."""

import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import torch
from hypothesis import settings

from selcn.cli import main
from selcn.config import RunConfig, load_config
from selcn.data.catalog import read_catalog
from selcn.data.phantom import write_phantom
from selcn.inference.predictor import Predictor
from selcn.runs.pipeline import Pipeline

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from pydicom.dataset import FileDataset

# A busy machine is no fault of the code: no test is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

TINY_RUN = """
data: {source: phantom, images: 96, seed: 1}
split: {folds: 2, test: 0.25}
prepare: {size: [64, 48]}
networks:
  lesion:
    task: segmentation
    architecture: Unet
    encoder: tu-mobilenetv3_small_050
    size: [32, 32]
    epochs: 1
    batch: 8
  symmetry:
    task: classification
    labels: symmetry-binary
    backbone: squeezenet1_1
    head: squeezenet
    dropout: 0.5
    epochs: 2
    batch: 8
    lr: 1.0e-3
  diagnosis:
    task: classification
    labels: ham10000
    reads: {symmetry: concat}
    backbone: resnet10t
    size: [32, 32]
    epochs: 1
    batch: 8
    lr: 1.0e-3
    weighted: true
compare: {diagnosis: [standalone]}
resamples: 100
"""


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    # Tests run in several processes; more threads than cores wait for one another.
    threads = torch.get_num_threads()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # which commands obey
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def selcn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs `selcn ARGUMENTS` within the test and returns its exit code."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["selcn", *map(str, arguments)])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The catalog of a small phantom."""
    return read_catalog(
        write_phantom(tmp_path_factory.mktemp("phantom") / "p", images=40, seed=3, size=(64, 48), jobs=1)
    )


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """The whole cascade, as small as it goes."""
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    path.write_text(TINY_RUN)
    return load_config(path)


@pytest.fixture(scope="session")
def tiny_run(tiny_config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of it; tests only read it."""
    folder = tmp_path_factory.mktemp("run") / "tiny"
    Pipeline(tiny_config, folder).run()
    return folder


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium without a window; not for the session, since its loop would stand in the way of others."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here; install Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def dataset() -> "Callable[..., FileDataset]":
    """Makes DICOM photographs of uint8 or 12-bit pixels."""
    from bombs import photograph

    return photograph


@pytest.fixture(scope="session")
def serve() -> Callable[..., AbstractContextManager[str]]:
    """Starts servers, as a context that knows the address."""
    return _serving


@contextmanager
def _serving(predictor: Predictor, *given: Any, **settings: Any) -> Iterator[str]:
    """A real server on a free port; its address."""
    import uvicorn

    from selcn.serving.app import create_app
    from selcn.serving.server import uvicorn_config

    served = {name: settings.pop(name) for name in ("root_path", "proxies") if name in settings}
    port = settings.pop("port", 0)
    app = create_app(predictor, *given, **settings)
    server = uvicorn.Server(uvicorn_config(app, log_level="error", log_config=None, **served))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", port))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
