"""What is in progress at once: room for images and pixels, and threads that large images cannot fill."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from selcn.errors import SelcnError

P = ParamSpec("P")
T = TypeVar("T")
MAX_ORDINARY = 13_000_000
"""Pixels of the largest image that does not count as large; telephones take photographs of twelve million."""
_IMAGES, _PIXELS = "pictures", "large pictures"  # as a refusal calls them


class QueueFull(SelcnError):  # noqa: N818 - what the queue is
    """The queue has no room for more images."""


class TooManyPixels(SelcnError):  # noqa: N818
    """A request that would find no room even alone."""


class Room:
    """Counts images, and pixels of large ones, that wait or are worked on.

    Args:
        max_images: at once.
        max_pixels: of all large images together; they leave room to ordinary ones, however many they are.
    """

    def __init__(self, max_images: int, max_pixels: int) -> None:
        self.max_images, self.max_pixels = max_images, max_pixels
        self.held = Counter[str]()

    @property
    def images(self) -> int:
        """Images in progress."""
        return self.held[_IMAGES]

    @property
    def pixels(self) -> int:
        """Pixels of large images in progress."""
        return self.held[_PIXELS]

    def of_images(self, count: int) -> AbstractContextManager[None]:
        """Reserve room for images.

        Args:
            count: of images.

        Raises:
            QueueFull: there is not enough room.
        """
        return self._reserved(_IMAGES, count, self.max_images)

    def of_pixels(self, count: int) -> AbstractContextManager[None]:
        """Reserve room for pixels of large images.

        Args:
            count: of pixels.

        Raises:
            QueueFull: there is not enough room.
            TooManyPixels: there never is.
        """
        if count > self.max_pixels:
            raise TooManyPixels(f"{count} pixels; send pictures of at most {self.max_pixels} together")
        return self._reserved(_PIXELS, count, self.max_pixels)

    @contextmanager
    def _reserved(self, what: str, count: int, most: int) -> Iterator[None]:
        if self.held[what] + count > most:
            raise QueueFull(f"too many {what} are waiting; try again")
        self.held[what] += count
        try:
            yield
        finally:
            self.held[what] -= count


class Threads:
    """Threads for work on images: one for all large images, so that ordinary ones never wait for them."""

    def __init__(self) -> None:
        self.ordinary = ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="images")
        self.large = ThreadPoolExecutor(1, thread_name_prefix="large-images")

    async def call(self, pixels: int, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Call a function in a thread; once cancelled, it is not begun any more.

        Args:
            pixels: that it works on, which decide where it waits.
            work: the function.
            *given: its arguments.
            **named: its arguments by name.
        """
        threads = self.large if pixels > MAX_ORDINARY else self.ordinary
        return await asyncio.get_running_loop().run_in_executor(threads, partial(work, *given, **named))

    def close(self) -> None:
        """Begin nothing more."""
        for threads in (self.ordinary, self.large):
            threads.shutdown(wait=False, cancel_futures=True)
