"""`serve`: a bundle behind HTTP."""

import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from selcn.cli.options import EngineChoice, with_threads
from selcn.errors import ConfigError, require_extra

SHUTDOWN_SECONDS = 5
"""For requests in progress, before they are given up at the end."""


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(with_threads(serve))


def serve(
    folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder.", show_default=False)],
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on.")] = 8000,
    engine: Annotated[EngineChoice, typer.Option("--engine", help="What runs the networks.")] = EngineChoice.TORCH,
    device: Annotated[str, typer.Option("--device", help="Where PyTorch runs: cpu, cuda ...")] = "cpu",
    body: Annotated[int, typer.Option("--body", min=1, help="MiB that a request may have.")] = 20,
    waiting: Annotated[int, typer.Option("--waiting", min=1, help="Images that may wait at once.")] = 64,
    page: Annotated[bool, typer.Option(help="A page for people at /.")] = True,
    samples: Annotated[
        Path | None, typer.Option("--samples", help="Folder of images to try there; without it, synthetic ones.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="That an answer may take.")] = 30.0,
) -> None:
    """Answer over HTTP: POST /v1/predict, GET /v1/model, /healthz, /metrics; a page at / and OpenAPI's at /docs.

    Callers must send the token of the environment's SELCN_TOKEN, where that is set. Nothing is stored or logged of an
    image. Example: `selcn serve runs/demo/bundle --port 8000`
    """
    for module in ("uvicorn", "selcn.serving.app", *(["selcn.serving.web"] if page else [])):
        require_extra(module, "serve", "selcn serve")
    import uvicorn

    from selcn.inference.predictor import load
    from selcn.serving.app import create_app
    from selcn.serving.uploads import Limits, draw_samples, read_samples

    predictor = load(folder, device, engine=engine.value)
    limits = Limits(body=body * 2**20, waiting=waiting, seconds=seconds)
    shown = None if not page else read_samples(samples) if samples else draw_samples()
    app = create_app(predictor, limits=limits, token=os.environ.get("SELCN_TOKEN") or None, samples=shown)
    config = uvicorn.Config(
        app, log_level="info", timeout_keep_alive=5, timeout_graceful_shutdown=SHUTDOWN_SECONDS, server_header=False
    )
    with _listening(host, port) as listening:
        uvicorn.Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    """Bound before anything is started, so that an address which is taken is told at once."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(f"{host}:{port}: {error.strerror or error}; choose another --host or --port") from None
