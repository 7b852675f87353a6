"""The commands: one file a group; each parses, calls one function, prints."""

import sys

import typer
from rich.console import Console

from selcn.cli import data, evidence, predict, train
from selcn.errors import SelcnError

app = typer.Typer(
    name="selcn",
    help="Symmetry-enhanced skin lesion classification. A research tool, not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for group in (data, train, predict, evidence):
    group.register(app)


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and exit code 2."""
    try:
        app()
    except SelcnError as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/bold red] {_literal(error)}", highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; the same command goes on from here")
        sys.exit(130)


def _literal(error: SelcnError) -> str:
    # Square brackets of a path or a value are no markup.
    return str(error).replace("[", "\\[")
