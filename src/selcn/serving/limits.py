"""What a server takes: how much, how many, and how long a body may take to come."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

DROPPED = 8
"""How many times the largest body is read of one that is refused."""


@dataclass(frozen=True)
class Limits:
    """What the server takes.

    Attributes:
        body: bytes of a request.
        pictures: of a request.
        pixels: of a picture, or of all frames of a file.
        waiting: pictures that may wait or be worked on at once.
        seconds: that a body may take to come, and an answer to be made.
    """

    body: int = 20 * 2**20
    pictures: int = 16
    pixels: int = 50_000_000
    waiting: int = 64
    seconds: float = 30.0


class BodyLimitMiddleware:
    """Refuses bodies that are too large (413) or come too slowly (408), before anything is decoded.

    Of a refused body some more is read and dropped, since most clients look for an answer only once they have sent all.

    Args:
        app: what is protected.
        most: bytes of a body.
        seconds: from the head of a request to the end of its body.
    """

    def __init__(self, app: App, most: int, seconds: float) -> None:
        self.app, self.most, self.seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(receive, self.most, self.seconds)
        headers = dict(scope["headers"])
        claimed = headers.get(b"content-length", b"0")
        if claimed.isdigit() and int(claimed) > self.most:
            if b"expect" not in headers:  # whoever expects leave to send has sent nothing yet
                await body.drop()
            await _refuse(send, _large(self.most))
            return
        await self.app(scope, body.receive, send)


class _Body:
    """The body of one request as it comes."""

    def __init__(self, receive: Receive, most: int, seconds: float) -> None:
        self.inner, self.most, self.seconds = receive, most, seconds
        self.deadline = asyncio.get_running_loop().time() + seconds
        self.taken, self.complete = 0, False

    async def receive(self) -> Message:
        """The next part, or what comes once the body is complete: the client going away."""
        if self.complete:
            return await self.inner()
        try:
            message = await self._next()
        except TimeoutError:
            raise HTTPException(408, f"the body took more than {self.seconds:g} s; send it faster") from None
        if self.taken > self.most:
            await self.drop()
            raise HTTPException(413, _large(self.most))
        return message

    async def drop(self) -> None:
        """Read on, within bounds, and keep nothing."""
        with contextlib.suppress(TimeoutError):
            while not self.complete and self.taken <= DROPPED * self.most:
                await self._next()

    async def _next(self) -> Message:
        left = self.deadline - asyncio.get_running_loop().time()
        message = await asyncio.wait_for(self.inner(), max(0.0, left))
        self.taken += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        return message


def _large(most: int) -> str:
    return f"the body is over {most} bytes; send fewer or smaller pictures"


async def _refuse(send: Send, why: str) -> None:
    body = json.dumps({"detail": why}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
