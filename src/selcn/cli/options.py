"""Options that several commands share, and how they are parsed; progress and messages of long work."""

import inspect
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from selcn.errors import ConfigError, check_extra
from selcn.io.progress import OnProgress

Out = Annotated[Path, typer.Option("--out", help="Where the result goes.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
CatalogPath = Annotated[Path, typer.Argument(help="A catalog made by `selcn index`.", show_default=False)]
Config = Annotated[
    Path, typer.Argument(help="A run's YAML, or a preset: demo, light, strong, thesis.", show_default=False)
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change a key: --set diagnosis.epochs=5. May be repeated.")
]
Device = Annotated[str, typer.Option("--device", help="Where the networks run: cpu, cuda, cuda:1 ...")]
Jobs = Annotated[int | None, typer.Option("--jobs", min=1, help="Images in work at once; else as --threads.")]
Labels = Annotated[
    str | None,
    typer.Option(
        "--labels",
        help="Label set of the classes: a built-in's name, a YAML file, or YAML such as [benign, malignant].",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="That compute; all usable cores where not given."),
]
LINE_SECONDS = 60
"""Between two lines that tell of progress where there is no terminal."""


class EngineChoice(StrEnum):
    """What runs the networks; the names of `selcn.inference.bundle.Engine`, which commands need not import."""

    TORCH = "torch"
    ONNX = "onnx"
    ONNX_INT8 = "onnx-int8"


def with_threads(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the option `--threads`, which holds before it begins; jobs divide the cores where it is not given.

    Args:
        command: the function of a command.
    """

    @wraps(command)
    def run(threads: int | None = None, **options: object) -> None:
        if threads or options.get("executor") is None:
            from selcn.io.threads import keep_memory, use_threads

            use_threads(threads)
            keep_memory()
        command(**options)

    of_command = inspect.signature(command)
    option = inspect.Parameter("threads", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Threads)
    run.__signature__ = of_command.replace(parameters=[*of_command.parameters.values(), option])  # type: ignore[attr-defined]
    run.__annotations__ = {**command.__annotations__, "threads": Threads}
    return run


def with_extra(command: Callable[..., None], extra: str, *modules: str) -> Callable[..., None]:
    """A command that ends in one line, before it begins, where an extra is not installed.

    Args:
        command: the function of a command.
        extra: name of the extra.
        modules: top-level modules that it installs.
    """

    @wraps(command)
    def run(**options: object) -> None:
        check_extra(extra, modules, f"selcn {command.__name__}")
        command(**options)

    return run


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of a text such as `256x192`.

    Raises:
        ConfigError: of another form, or below 32 pixels.
    """
    width, times, height = text.lower().partition("x")
    if not (times and width.isdecimal() and height.isdecimal() and min(int(width), int(height)) >= 32):
        raise ConfigError(f"--size {text}: write width x height in pixels, at least 32 each, for example 256x192")
    return int(width), int(height)


@contextmanager
def progress(description: str) -> Iterator[OnProgress]:
    """Show the progress of some work on standard error: a bar on a terminal, elsewhere a line a minute."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    console, last = Console(stderr=True), time.monotonic()
    quiet = not console.is_terminal
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task(description, total=None, note="")

        def move(done: int, total: int, note: str = "") -> None:
            nonlocal last
            bar.update(task, completed=done, total=total, note=note)
            if quiet and time.monotonic() - last > LINE_SECONDS:
                last = time.monotonic()
                typer.echo(f"{description}: {done} of {total} {note}".rstrip(), err=True)

        yield move


def show_messages() -> None:
    """Show on standard error what selcn logs of its work."""
    logger = logging.getLogger("selcn")
    if not logger.handlers:
        handler = _ToStandardError()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)


class _ToStandardError(logging.Handler):
    """Writes to standard error as it is when a message comes, not as it was when logging was set up."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), err=True)


@contextmanager
def resumable() -> Iterator[None]:
    """Answer Ctrl-C with what to do next, and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("stopped; the same command resumes from here", err=True)
        raise typer.Exit(130) from None
