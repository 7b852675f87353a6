"""`serve`: bundles behind HTTP."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from selcn.cli.options import EngineChoice, with_threads
from selcn.errors import ConfigError, require_extra


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(with_threads(serve))


def read_options(context: typer.Context, path: Path | None) -> Path | None:
    """Options of a YAML file, which hold where neither command line nor environment says otherwise.

    Args:
        context: of the command.
        path: of the file; None for none.

    Raises:
        ConfigError: it cannot be read, or names what is no option.
    """
    if path is None:
        return None
    from selcn.config.reading import read_yaml

    tree = read_yaml(path)
    known = {option.lstrip("-"): one for one in context.command.params for option in one.opts}
    known = {name: one for name, one in known.items() if name not in ("config", "help")}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: holds no options; write such as `port: 8000`")
    context.default_map = {}
    for name, value in tree.items():
        if name not in known:
            raise ConfigError(f"{path}: {name} is no option of serve; known are {', '.join(known)}")
        several = known[name].nargs == -1 or getattr(known[name], "multiple", False)
        context.default_map[str(known[name].name)] = [value] if several and not isinstance(value, list) else value
    return path


Bundles = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[BUNDLE]...",
        help="Folders of bundles; the first answers, unless a request names another. By default that of selcn.",
        show_default=False,
        envvar="SELCN_BUNDLES",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="YAML file of these options, such as `port: 8000`.",
        envvar="SELCN_CONFIG",
        is_eager=True,
        callback=read_options,
    ),
]
Host = Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for every one.", envvar="SELCN_HOST")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on.", envvar="SELCN_PORT")]
Engine = Annotated[EngineChoice, typer.Option("--engine", help="What runs the networks.", envvar="SELCN_ENGINE")]
Device = Annotated[str, typer.Option("--device", help="Where PyTorch runs: cpu, cuda ...", envvar="SELCN_DEVICE")]
Body = Annotated[int, typer.Option("--body", min=1, help="MiB that a request may have.", envvar="SELCN_BODY")]
Waiting = Annotated[int, typer.Option("--waiting", min=1, help="Images that may wait at once.", envvar="SELCN_WAITING")]
Page = Annotated[bool, typer.Option(help="A page for people at /.", envvar="SELCN_PAGE")]
Samples = Annotated[
    Path | None,
    typer.Option(
        "--samples", help="Folder of images to try there; without it, synthetic ones.", envvar="SELCN_SAMPLES"
    ),
]
Seconds = Annotated[float, typer.Option("--seconds", min=0.1, help="That an answer may take.", envvar="SELCN_SECONDS")]
Origins = Annotated[
    list[str] | None,
    typer.Option("--allow-origin", help="Another site whose pages may ask; repeat.", envvar="SELCN_ALLOW_ORIGIN"),
]
RootPath = Annotated[
    str, typer.Option("--root-path", help="Path at which a proxy serves it.", envvar="SELCN_ROOT_PATH")
]
Proxies = Annotated[
    str,
    typer.Option("--proxies", help="Addresses, by commas, whose X-Forwarded-* is believed.", envvar="SELCN_PROXIES"),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="File of the token, in place of SELCN_TOKEN.", envvar="SELCN_TOKEN_FILE"),
]
Archive = Annotated[
    str | None,
    typer.Option("--stow-to", help="Root of the DICOMweb service that gets segmentations.", envvar="SELCN_STOW_TO"),
]


def serve(
    bundles: Bundles = None,
    config: ConfigFile = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    engine: Engine = EngineChoice.TORCH,
    device: Device = "cpu",
    body: Body = 20,
    waiting: Waiting = 64,
    page: Page = True,
    samples: Samples = None,
    seconds: Seconds = 30.0,
    origins: Origins = None,
    root_path: RootPath = "",
    proxies: Proxies = "",
    token_file: TokenFile = None,
    archive: Archive = None,
) -> None:
    """Answer over HTTP: POST /v1/predict, GET /v1/model, health, metrics; a page at / and OpenAPI's at /docs.

    Callers must send the token of the environment's SELCN_TOKEN, where that is set. SIGHUP reads the bundles again.
    Nothing is stored or logged of an image. Example: `selcn serve`, or `selcn serve runs/demo/bundle --port 8000`
    """
    del config  # its callback has read it
    for module in ("uvicorn", "selcn.serving.app", *(["selcn.serving.web"] if page else [])):
        require_extra(module, "serve", "selcn serve")
    import uvicorn

    from selcn.inference.predictor import load
    from selcn.serving.access import Access, is_loopback
    from selcn.serving.app import create_app
    from selcn.serving.monitoring import ServerMetrics
    from selcn.serving.reloading import ReloadingApp
    from selcn.serving.server import uvicorn_config
    from selcn.serving.uploads import Limits, draw_samples, read_samples

    access, metrics = Access(_token(token_file), tuple(origins or ())), ServerMetrics()
    if access.token is None and not is_loopback(host):
        typer.echo(f"warning: everyone who reaches {host} may ask; set SELCN_TOKEN", err=True)
    limits = Limits(body=body * 2**20, waiting=waiting, seconds=seconds)
    shown = None if not page else read_samples(samples) if samples else draw_samples()
    served: Sequence[Path | None] = bundles or [None]

    def build() -> Any:  # noqa: ANN401 - a FastAPI, which is imported only here
        predictors = [load(bundle, device, engine=engine.value) for bundle in served]
        return create_app(*predictors, limits=limits, access=access, samples=shown, metrics=metrics, archive=archive)

    app = ReloadingApp(build, metrics, 2 * seconds)
    with _listening(host, port) as listening:
        uvicorn.Server(uvicorn_config(app, root_path=root_path, proxies=proxies)).run(sockets=[listening])


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get("SELCN_TOKEN") or None
    try:
        return file.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {file}: cannot be read ({error}); give a text file") from None


def _listening(host: str, port: int) -> socket.socket:
    from selcn.serving.server import listen

    try:
        return listen(host, port)
    except OSError as error:
        raise ConfigError(f"{host}:{port}: {error.strerror or error}; choose another --host or --port") from None
