"""`config`: presets, and what a configuration resolves to."""

from typing import Annotated

import typer

from selcn.cli.options import Config, Overrides

commands = typer.Typer(no_args_is_help=True, help="Presets, and what a configuration resolves to.")


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.add_typer(commands, name="config")


@commands.command()
def show(config: Config, overrides: Overrides = None) -> None:
    """Print a preset or a YAML file with every default written out, ready to be changed.

    Example: `selcn config show light > my.yaml`
    """
    from selcn.config import dump_config, load_config

    typer.echo(dump_config(load_config(config, overrides)), nl=False)


@commands.command()
def presets(json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False) -> None:
    """List the presets and what each is for.

    Example: `selcn config presets`
    """
    import json as json_format

    from selcn.config import describe_presets

    described = describe_presets()
    if json:
        typer.echo(json_format.dumps(described))
        return
    for name, what in described.items():
        typer.echo(f"{name:<8}{what}")
