"""`serve`: a bundle behind HTTP."""

import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from selcn.cli.options import EngineChoice, with_threads
from selcn.errors import ConfigError, require_extra


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(with_threads(serve))


def serve(
    folder: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder.", show_default=False, envvar="SELCN_BUNDLE")
    ],
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for every one.", envvar="SELCN_HOST")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to listen on.", envvar="SELCN_PORT")
    ] = 8000,
    engine: Annotated[
        EngineChoice, typer.Option("--engine", help="What runs the networks.", envvar="SELCN_ENGINE")
    ] = EngineChoice.TORCH,
    device: Annotated[
        str, typer.Option("--device", help="Where PyTorch runs: cpu, cuda ...", envvar="SELCN_DEVICE")
    ] = "cpu",
    body: Annotated[int, typer.Option("--body", min=1, help="MiB that a request may have.", envvar="SELCN_BODY")] = 20,
    waiting: Annotated[
        int, typer.Option("--waiting", min=1, help="Images that may wait at once.", envvar="SELCN_WAITING")
    ] = 64,
    page: Annotated[bool, typer.Option(help="A page for people at /.", envvar="SELCN_PAGE")] = True,
    samples: Annotated[
        Path | None,
        typer.Option(
            "--samples", help="Folder of images to try there; without it, synthetic ones.", envvar="SELCN_SAMPLES"
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.1, help="That an answer may take.", envvar="SELCN_SECONDS")
    ] = 30.0,
    origins: Annotated[
        list[str] | None,
        typer.Option("--allow-origin", help="Another site whose pages may ask; repeat.", envvar="SELCN_ALLOW_ORIGIN"),
    ] = None,
    root_path: Annotated[
        str, typer.Option("--root-path", help="Path at which a proxy serves it.", envvar="SELCN_ROOT_PATH")
    ] = "",
    proxies: Annotated[
        str,
        typer.Option(
            "--proxies", help="Addresses, by commas, whose X-Forwarded-* is believed.", envvar="SELCN_PROXIES"
        ),
    ] = "",
) -> None:
    """Answer over HTTP: POST /v1/predict, GET /v1/model, health, metrics; a page at / and OpenAPI's at /docs.

    Callers must send the token of the environment's SELCN_TOKEN, where that is set. Nothing is stored or logged of an
    image. Example: `selcn serve runs/demo/bundle --port 8000`
    """
    for module in ("uvicorn", "selcn.serving.app", *(["selcn.serving.web"] if page else [])):
        require_extra(module, "serve", "selcn serve")
    import uvicorn

    from selcn.inference.predictor import load
    from selcn.serving.access import Access, is_loopback
    from selcn.serving.app import create_app
    from selcn.serving.server import uvicorn_config
    from selcn.serving.uploads import Limits, draw_samples, read_samples

    access = Access(os.environ.get("SELCN_TOKEN") or None, tuple(origins or ()))
    if access.token is None and not is_loopback(host):
        typer.echo(f"warning: everyone who reaches {host} may ask; set SELCN_TOKEN", err=True)
    predictor = load(folder, device, engine=engine.value)
    limits = Limits(body=body * 2**20, waiting=waiting, seconds=seconds)
    shown = None if not page else read_samples(samples) if samples else draw_samples()
    app = create_app(predictor, limits=limits, access=access, samples=shown)
    with _listening(host, port) as listening:
        uvicorn.Server(uvicorn_config(app, root_path=root_path, proxies=proxies)).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    from selcn.serving.server import listen

    try:
        return listen(host, port)
    except OSError as error:
        raise ConfigError(f"{host}:{port}: {error.strerror or error}; choose another --host or --port") from None
