"""The one progress callback of long work."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class OnProgress(Protocol):
    """Called repeatedly by long work."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Report progress.

        Args:
            done: units finished so far.
            total: units in all.
            note: a short text to show beside the count, such as a metric.
        """


ShowProgress = Callable[[str], AbstractContextManager[OnProgress]]
"""From a description of some work to a context in which its progress is shown."""


@contextmanager
def show_nothing(_description: str) -> Iterator[OnProgress]:
    """A `ShowProgress` that shows nothing.

    Args:
        _description: of the work; ignored.
    """
    yield lambda _done, _total, _note="": None
