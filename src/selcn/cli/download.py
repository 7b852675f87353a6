"""`download`: a public data set in one command."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from selcn.cli.options import progress, resumable
from selcn.errors import ConfigError, DataError

Name = Annotated[str | None, typer.Argument(help="The data set; without it, all are listed.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(download)


def download(
    name: Name = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder; the data set's own name if not given.")] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence without being asked.")
    ] = False,
    only: Annotated[str, typer.Option("--only", help="Only files of such names, as in `--only '*Training*'`.")] = "*",
    mirror: Annotated[
        str,
        typer.Option(
            "--mirror",
            envvar="SELCN_DOWNLOAD_MIRROR",
            help="Address of a copy with a folder a host, as `wget --recursive` makes it.",
        ),
    ] = "",
) -> None:
    """Download a public data set, check and unpack it, and print the `selcn index` command that reads it.

    Its licence is shown and must be accepted. What broke off is resumed, what is there is not downloaded again. Every
    file is checked against its checksum where one is published; size and SHA-256 of all are in `download.json`. Data
    sets that their publishers give on request only are listed with where to ask.

    Example: `selcn download ham10000 --out HAM10000 --accept-licence`
    """
    from selcn.data.download import MANIFEST, find_data_set
    from selcn.data.download import download as fetch_all

    if name is None:
        _list()
        return
    chosen = find_data_set(name)
    folder = out or Path(chosen.folder)
    if chosen.by_hand:
        raise DataError(
            f"{name}: cannot be downloaded by a program; {chosen.by_hand} ({chosen.page}), unpack it to {folder}, then "
            f"type: {chosen.command(folder)}"
        )
    typer.echo(f"{chosen.title}\nlicence: {chosen.licence}\nterms:   {chosen.page}")
    _accept(accept_licence)
    with resumable(), progress("downloading") as move:
        files = fetch_all(chosen, folder, move, only=only, mirror=mirror)["files"]
    checked = sum(bool(file["published"]) for file in files.values())
    typer.echo(
        f"{folder}: {len(files)} of {len(chosen.files)} files, {checked} of them with a published checksum; "
        f"size and SHA-256 of all in {folder / MANIFEST}\nnow type: {chosen.command(folder)}"
    )


def _accept(accepted: bool) -> None:
    if accepted:
        return
    if not sys.stdin.isatty():
        raise ConfigError("--accept-licence: read the terms, then give this option")
    if not typer.confirm("Accept the licence?"):
        raise ConfigError("the licence was not accepted: nothing was downloaded")


def _list() -> None:
    from selcn.data.download import data_sets

    width = max(map(len, data_sets()))
    for name, one in data_sets().items():
        typer.echo(f"{name:{width}}  {'by hand' if one.by_hand else 'fetched'}  {one.title}; {one.licence}")
