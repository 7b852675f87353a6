"""Every command that a page shows exists, with these options."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from selcn.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A line of a block, alone or behind a pipe or a launcher of several processes.
LINE = re.compile(r"^ *(?:[^#|`]*\| |torchrun .*|srun .*)?selcn (\S.*)$", re.MULTILINE)
INLINE = re.compile(r"`selcn ([^`]+)`")
# Of click, or of the copy of it that typer brings.
click = importlib.import_module(typer.BadParameter.__module__)


def shown(text: str) -> Iterator[tuple[list[str], bool]]:
    """Words of each command after `selcn`, and whether it is shown in full: some are named without their arguments."""
    whole = text.replace("\\\n", " ")
    for pattern, full in ((LINE, True), (INLINE, False)):
        for match in pattern.finditer(whole):
            yield shlex.split(match[1].partition(" > ")[0], comments=True), full


def check(words: list[str], *, full: bool, group: Any = None) -> None:
    """Parse a command without doing anything.

    Raises:
        click.UsageError: there is no such command, option or value, or an argument of a full one is missing.
    """
    first, *rest = words
    known: Any = group or typer.main.get_command(app)
    command = known.commands.get(first)
    if command is None:
        raise click.UsageError(f"no command {first}")
    if hasattr(command, "commands"):
        check(rest, full=full, group=command)
        return
    try:
        command.make_context(first, rest)
    except (click.MissingParameter, click.BadOptionUsage):
        if full:
            raise
    except click.BadParameter:
        if not any(word.isupper() for word in words):  # a placeholder has no value to be checked
            raise


def helps(group: Any, name: str = "help") -> Iterator[tuple[str, str]]:
    """The help of each command, by its name."""
    for key, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from helps(command, f"{name} {key}")
        else:
            yield f"{name} {key}", str(command.help)


TEXTS = {path.name: path.read_text(encoding="utf-8") for path in PAGES} | dict(helps(typer.main.get_command(app)))


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_that_is_shown_can_be_given(name: str) -> None:
    wrong = []
    for words, full in shown(TEXTS[name]):
        try:
            check(words, full=full)
        except click.UsageError as error:
            wrong.append(f"selcn {shlex.join(words)}: {error.format_message()}")
    assert not wrong


def test_commands_are_found_and_wrong_ones_told() -> None:
    text = "    cat a | selcn predict BUNDLE - \\\n  --nonsense\n\nand `selcn run demo`, `selcn bundle`"
    found = list(shown(text))
    assert found == [(["predict", "BUNDLE", "-", "--nonsense"], True), (["run", "demo"], False), (["bundle"], False)]
    with pytest.raises(click.NoSuchOption):
        check(found[0][0], full=True)
    with pytest.raises(click.MissingParameter):
        check(["bundle"], full=True)
    check(["bundle"], full=False)
