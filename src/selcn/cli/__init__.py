"""The commands: one file a group; each parses, calls one function, prints."""

import sys
import warnings
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

import selcn
from selcn.cli import (
    annotations,
    audit,
    bundles,
    comparisons,
    configuration,
    data,
    download,
    evidence,
    index,
    jobs,
    predict,
    robustness,
    saliency,
    serve,
    train,
)
from selcn.cli.options import show_messages
from selcn.errors import SelcnError, missing_torch


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"selcn {selcn.__version__}")
        raise typer.Exit


app = typer.Typer(
    name="selcn",
    help="Symmetry-enhanced skin lesion classification. A research tool, not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback(invoke_without_command=False)
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Symmetry-enhanced skin lesion classification. A research tool, not a medical device."""


for group in (
    download,
    index,
    audit,
    data,
    configuration,
    train,
    jobs,
    bundles,
    predict,
    serve,
    saliency,
    evidence,
    comparisons,
    robustness,
    annotations,
):
    group.register(app)


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and exit code 2."""
    show_messages()
    # What Pillow and pydicom say of damaged metadata: the picture is read, or the command says itself why not.
    warnings.filterwarnings("ignore", module="PIL|pydicom")
    try:
        app()
    except SelcnError as error:
        _leave(str(error))
    except ModuleNotFoundError as error:
        _leave(str(missing_torch(error)))
    except OSError as error:
        _leave(f"{error.filename or 'a file'}: {error.strerror or error}; check the path, its permissions and the disk")


def _leave(message: str) -> NoReturn:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"[bold red]error:[/bold red] {escape(message)}")
    sys.exit(2)
