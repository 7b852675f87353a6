"""The command line, run within the test."""

import sys
from collections.abc import Callable

import pytest

from selcn.cli import main

Selcn = Callable[..., int]


@pytest.fixture
def selcn(monkeypatch: pytest.MonkeyPatch) -> Selcn:
    """Run `selcn ARGUMENTS` and return its exit code."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["selcn", *map(str, arguments)])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run
