"""How long work tells how far it is: the one progress callback."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class OnProgress(Protocol):
    """Called now and then by long work."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Tell that ``done`` of ``total`` units are done, with a note such as a metric."""


ShowProgress = Callable[[str], AbstractContextManager[OnProgress]]
"""From a description of some work to a context in which its progress is shown."""


@contextmanager
def show_nothing(_description: str) -> Iterator[OnProgress]:
    """Progress that nobody sees."""
    yield lambda _done, _total, _note="": None
