"""Bundles read again while the server runs: requests in progress finish with those that they began with."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from selcn.errors import SelcnError
from selcn.serving.monitoring import ServerMetrics

_LOGGER = logging.getLogger(__name__)
_STDERR = 2


class ReloadingApp:
    """An application that is built anew at every `SIGHUP`; where it cannot be, the one before goes on.

    Args:
        build: reads the bundles and makes the application; called in a thread.
        metrics: where reloads are counted.
        seconds: that a request may take, after which those of an application before are ended.
    """

    def __init__(self, build: Callable[[], FastAPI], metrics: ServerMetrics, seconds: float) -> None:
        self.build, self.metrics, self.seconds = build, metrics, seconds
        self.current, self.before = _Running(build()), set[_Running]()
        self.asked, self.tasks = asyncio.Event(), set[asyncio.Task[None]]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI specification says."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self.current.answer(scope, receive, send)

    async def reload(self) -> None:
        """Answer with the bundles as they are now, and end the application before once its requests are answered."""
        try:
            after = _Running(await asyncio.to_thread(self.build))
            await after.start()
        except Exception as error:  # which must not end the server
            self.metrics.reloads.labels("failed").inc()
            unforeseen = None if isinstance(error, SelcnError) else error
            _LOGGER.error("not reloaded: %s", error, exc_info=unforeseen)  # noqa: TRY400
            return
        before, self.current = self.current, after
        self.metrics.reloads.labels("reloaded").inc()
        _LOGGER.info("reloaded")
        self._begin(self._end(before))

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.current.start()
        self._begin(self._reload_when_asked())
        self._listen()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*(one.stop() for one in (*self.before, self.current)))
        await send({"type": "lifespan.shutdown.complete"})

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _reload_when_asked(self) -> None:
        while True:
            await self.asked.wait()
            self.asked.clear()
            await self.reload()

    async def _end(self, before: "_Running") -> None:
        self.before.add(before)
        await before.drain(self.seconds)
        await before.stop()
        self.before.discard(before)

    def _listen(self) -> None:
        """Reload at SIGHUP, but for the one that the end of a terminal sends, which ends the server with it."""
        hangup = getattr(signal, "SIGHUP", None)  # which Windows lacks
        if hangup is None:
            return
        on_terminal = os.isatty(_STDERR)

        def hang_up() -> None:
            if on_terminal and not os.isatty(_STDERR):
                signal.raise_signal(signal.SIGTERM)
            else:
                self.asked.set()

        with contextlib.suppress(ValueError, RuntimeError):  # not in the main thread, as in tests
            asyncio.get_running_loop().add_signal_handler(hangup, hang_up)


class _Running:
    """An application in a task of its own, from its start to its end, and the requests that it answers."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.requests: set[asyncio.Task[None]] = set()
        self.started, self.ending, self.idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.idle.set()
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start what the application needs."""
        self.task = asyncio.create_task(self._run())
        starting = asyncio.create_task(self.started.wait())
        await asyncio.wait((self.task, starting), return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        if self.task.done():
            self.task.result()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        task = asyncio.current_task()
        assert task is not None
        self.requests.add(task)
        self.idle.clear()
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if not self.ending.is_set():
                raise
        finally:
            self.requests.discard(task)
            if not self.requests:
                self.idle.set()

    async def drain(self, seconds: float) -> None:
        """Wait until all requests are answered, but no longer than a time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.idle.wait(), seconds)

    async def stop(self) -> None:
        """End the application and what is left of its requests, such as a page's connection that stays open."""
        self.ending.set()
        for request in self.requests:
            request.cancel()
        if self.task is not None:
            await asyncio.wait((self.task,))

    async def _run(self) -> None:
        async with self.app.router.lifespan_context(self.app):
            self.started.set()
            await self.ending.wait()
