"""ASGI middleware for every request: its path and method, limits of its body, and security headers of its response."""

import asyncio
import contextlib
import json
import re
from collections.abc import Iterable

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_DROPPED = 8
"""Bytes of a refused body that are read and dropped, as a multiple of the largest body."""
# The page's framework writes scripts and styles into the page and compiles templates.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


def route_path(scope: Scope) -> str:
    """The path of a request below the one at which a proxy serves the application.

    Args:
        scope: of an HTTP request.
    """
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")) or "/"


class Paths:
    """The paths that an application has, as its routes name them, such as `/v2/models/{name}`.

    Args:
        routes: of the application; others than those of single paths and methods are left out.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        single = [route for route in routes if isinstance(route, Route)]
        self.methods: dict[str, set[str]] = {}
        for route in single:
            self.methods.setdefault(route.path, set()).update(route.methods or ())
        self._patterns: dict[str, re.Pattern[str]] = {route.path: route.path_regex for route in single}

    def find(self, scope: Scope) -> str | None:
        """The known path of a request; None for an unknown one.

        Args:
            scope: of an HTTP request.
        """
        asked = route_path(scope)
        return next((path for path, pattern in self._patterns.items() if pattern.match(asked)), None)

    def name(self, scope: Scope) -> str:
        """What to call a request's path where it is counted or logged: unknown ones, which may hold anything, `other`.

        Args:
            scope: of an HTTP request.
        """
        return self.find(scope) or ("/" if route_path(scope) == "/" else "other")


class SecurityHeadersMiddleware:
    """Adds headers that make browsers load nothing from other hosts, guess no types, and embed the page in no other.

    Cookies become such as browsers send with requests of this server's own pages alone.

    Args:
        app: whose responses get the headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI specification says."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*map(_own_cookie, message.get("headers", [])), *_HEADERS]
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _own_cookie(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    name, value = header
    if name.lower() != b"set-cookie":
        return header
    kept = [part for part in value.split(b";") if not part.strip().lower().startswith(b"samesite")]
    return name, b";".join([*kept, b" SameSite=Lax"])


class MethodMiddleware:
    """Answers HEAD as GET, and 405 with `Allow` for a method that a known path does not have.

    Args:
        app: with other routes for every other path.
        paths: known paths.
    """

    def __init__(self, app: ASGIApp, paths: Paths) -> None:
        self.app, self.paths = app, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI specification says."""
        path = self.paths.find(scope) if scope["type"] == "http" else None
        if path is None:
            await self.app(scope, receive, send)
            return
        known = self.paths.methods[path]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method in known:
            # Uvicorn itself leaves out the body of an answer to HEAD.
            await self.app({**scope, "method": method}, receive, send)
            return
        allowed = ", ".join(sorted({*known, *(["HEAD"] if "GET" in known else [])}))
        body = {"detail": f"{path} takes {allowed}, not {scope['method']}"}
        await JSONResponse(body, 405, {"Allow": allowed})(scope, receive, send)


class BodyLimitMiddleware:
    """Refuses bodies that are too large (413) or arrive too slowly (408), before anything is decoded.

    More of a refused body is read and dropped, since most clients read the response only after they have sent all.

    Args:
        app: that is protected.
        max_bytes: size of the largest body.
        seconds: from the head of a request to the end of its body.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, seconds: float) -> None:
        self.app, self.max_bytes, self.seconds = app, max_bytes, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI specification says."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(receive, self.max_bytes, self.seconds)
        headers = dict(scope["headers"])
        claimed = headers.get(b"content-length", b"0")
        if claimed.isdigit() and int(claimed) > self.max_bytes:
            if b"expect" not in headers:  # a client that sends `Expect: 100-continue` has sent no body yet
                await body.drop()
            await _refuse(send, _too_large(self.max_bytes))
            return
        await self.app(scope, body.receive, send)


class _Body:
    """The body of one request, read piece by piece."""

    def __init__(self, receive: Receive, max_bytes: int, seconds: float) -> None:
        self.inner, self.max_bytes, self.seconds = receive, max_bytes, seconds
        self.deadline = asyncio.get_running_loop().time() + seconds
        self.taken, self.complete = 0, False

    async def receive(self) -> Message:
        """The next piece; once the body is complete, the next message, such as a disconnect."""
        if self.complete:
            return await self.inner()
        try:
            message = await self._next()
        except TimeoutError:
            raise HTTPException(408, f"the body took more than {self.seconds:g} s; send it faster") from None
        if self.taken > self.max_bytes:
            await self.drop()
            raise HTTPException(413, _too_large(self.max_bytes))
        return message

    async def drop(self) -> None:
        """Read further pieces, within bounds, and drop them."""
        with contextlib.suppress(TimeoutError):
            while not self.complete and self.taken <= MAX_DROPPED * self.max_bytes:
                await self._next()

    async def _next(self) -> Message:
        left = self.deadline - asyncio.get_running_loop().time()
        message = await asyncio.wait_for(self.inner(), max(0.0, left))
        self.taken += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        return message


def _too_large(max_bytes: int) -> str:
    return f"the body is over {max_bytes} bytes; send fewer or smaller pictures"


async def _refuse(send: Send, why: str) -> None:
    body = json.dumps({"detail": why}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
