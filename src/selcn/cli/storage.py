"""Commands whose results go to object storage: made in a folder of this machine, then uploaded."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path

import typer

from selcn.cli.options import progress
from selcn.errors import PartialResultError

FINISHED = ".finished.json"
STOPPED = 130
"""Exit code of a command that was interrupted."""
HOW = ("cluster", "jobs")
"""Options that change nothing about a result."""


def with_storage(command: Callable[..., None], *names: str) -> Callable[..., None]:
    """A command whose results may go to object storage; resumable, its upload too.

    Args:
        command: the function of a command.
        names: parameters that are paths of results; different results have different names.
    """

    @wraps(command)
    def run(**options: object) -> None:
        from selcn.io import storage
        from selcn.io.files import write_text

        remote = {name: path for name in names if isinstance(path := options[name], Path) and storage.is_remote(path)}
        if not remote:
            command(**options)
            return
        asked = {name: str(value) for name, value in options.items() if name not in HOW}
        key = hashlib.sha256(json.dumps([command.__name__, asked]).encode()).hexdigest()
        folders = {name: storage.working_copy(path).parent for name, path in remote.items()}
        ended = _finished(folders, key)
        if ended is None:
            for name, path in remote.items():
                storage.check_target(path, new=not folders[name].exists())
            ended = _run(command, {**options, **{name: storage.working_copy(path) for name, path in remote.items()}})
            for folder in folders.values():
                write_text(folder / FINISHED, json.dumps({"key": key, "ended": ended}))
        for name, path in remote.items():
            with progress("uploading") as move:
                sent = storage.upload(folders[name], path.parent, move)
            typer.echo(f"{storage.address_of(path)}: {sent} files uploaded", err=True)
        for folder in folders.values():
            shutil.rmtree(folder)
        _leave(ended)

    return run


def _finished(folders: Mapping[str, Path], key: str) -> str | int | None:
    """How a command ended whose upload was interrupted; None where it has not. What another one left is removed."""
    notes = [json.loads((folder / FINISHED).read_text()) for folder in folders.values() if (folder / FINISHED).exists()]
    if notes and len(notes) == len(folders) and all(note["key"] == key for note in notes):
        ended: str | int = notes[0]["ended"]
        return ended
    for folder in folders.values():
        if (folder / FINISHED).exists():
            shutil.rmtree(folder)
    return None


def _run(command: Callable[..., None], options: Mapping[str, object]) -> str | int:
    """Run a command; its exit code, or what it says of files that were left out."""
    try:
        command(**options)
    except PartialResultError as error:
        return str(error)
    except typer.Exit as stop:
        if stop.exit_code == STOPPED:
            raise
        return stop.exit_code
    return 0


def _leave(ended: str | int) -> None:
    if isinstance(ended, str):
        raise PartialResultError(ended)
    if ended:
        raise typer.Exit(ended)
