"""Options that several commands share, and how they are parsed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from selcn.errors import ConfigError

Out = Annotated[Path, typer.Option("--out", help="Where the result goes.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
CatalogPath = Annotated[Path, typer.Argument(help="A catalog made by `selcn index`.", show_default=False)]
Config = Annotated[
    Path, typer.Argument(help="A run's YAML, or a preset: demo, light, strong, thesis.", show_default=False)
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change a key: --set classification.epochs=5. May be repeated.")
]
Device = Annotated[str, typer.Option("--device", help="Where the networks run: cpu, cuda, cuda:1 ...")]
Jobs = Annotated[int | None, typer.Option("--jobs", min=1, help="Processes or threads; all cores where not given.")]


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
def progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, moved by calling it with units done and units in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=None)

        def move(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield move


@contextmanager
def resumable() -> Iterator[None]:
    """Answer Ctrl-C with what to do next, and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
