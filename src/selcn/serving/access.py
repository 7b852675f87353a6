"""Who may ask: the bearer token, pages of other sites, and how often a wrong token may be tried."""

import hmac
import ipaddress
import socket
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from selcn.errors import ConfigError
from selcn.serving.middleware import route_path

LOGIN = "/login"
MAX_FAILURES, FAILURE_SECONDS = 10, 60.0
"""Wrong tokens from one address within this time, after which more are not looked at."""
MAX_ADDRESSES = 10_000
"""Addresses whose failures are remembered; the longest unseen is forgotten first."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        token: that `/v1` and the page require; None for no authorisation.
        origins: of other sites whose pages may ask too, such as `https://clinic.example`.
    """

    token: str | None = None
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.token is not None and not (
            self.token and self.token.isprintable() and self.token == self.token.strip()
        ):
            raise ConfigError(
                "SELCN_TOKEN: is empty, holds control characters, or begins or ends with a space; set another"
            )
        for origin in self.origins:
            if not urlsplit(origin).hostname or urlsplit(origin).path or origin != origin.lower():
                raise ConfigError(f"--allow-origin {origin}: is no origin; write such as https://clinic.example")

    def is_right(self, authorization: str) -> bool:
        """Whether a header `Authorization` has the token.

        Args:
            authorization: as Starlette decodes it, from Latin-1.
        """
        scheme, _, given = authorization.partition(" ")
        sent = given.strip(" \t").encode("latin-1")
        return scheme.lower() == "bearer" and hmac.compare_digest(sent, (self.token or "").encode())


class OriginMiddleware:
    """Refuses what pages of other sites send; a browser names the page's site in `Origin` (RFC 6454).

    A name of this server that another site has chosen (DNS rebinding) is refused too where there is no token.

    Args:
        app: that is protected.
        access: whose origins may ask.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access
        self.names = {"localhost", socket.gethostname().lower(), socket.getfqdn().lower()}
        self.names |= {urlsplit(origin).hostname or "" for origin in access.origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI specification says."""
        if scope["type"] == "http" and scope["method"] not in _SAFE:
            why = self._wrong(Headers(scope=scope))
            if why:
                await JSONResponse({"detail": why}, 403)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _wrong(self, headers: Headers) -> str | None:
        origin, host = headers.get("origin"), headers.get("host", "").lower()
        if origin is None:
            cross = headers.get("sec-fetch-site", "none") in ("cross-site", "same-site")
            return "a page of another site sent this; open this server's own page" if cross else None
        if origin.lower() in self.access.origins:
            return None
        if urlsplit(origin).netloc.lower() != host:
            return f"pages of {origin} may not ask; start the server with --allow-origin {origin}"
        if self.access.token is None and not self._is_own(urlsplit(f"//{host}").hostname or ""):
            return f"{host} is no known name of this server; start it with --allow-origin {origin}"
        return None

    def _is_own(self, name: str) -> bool:
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return True


class ThrottleMiddleware:
    """Refuses tokens and logins from an address that sent too many wrong ones.

    Args:
        app: that is protected.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.failures: OrderedDict[str, deque[float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI specification says."""
        login = scope["type"] == "http" and route_path(scope).rstrip("/") == LOGIN and scope["method"] == "POST"
        if not login and not (scope["type"] == "http" and "authorization" in Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        address = (scope.get("client") or ("", 0))[0]
        if len(self._recent(address)) >= MAX_FAILURES:
            body = {"detail": f"too many wrong tokens; try again in {FAILURE_SECONDS:.0f} s"}
            refused = JSONResponse(body, 429, {"Retry-After": f"{FAILURE_SECONDS:.0f}"})
            await refused(scope, receive, send)
            return

        async def send_watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in ((400, 401) if login else (401,)):
                self._remember(address)
            await send(message)

        await self.app(scope, receive, send_watched)

    def _recent(self, address: str) -> deque[float]:
        times = self.failures.get(address, deque())
        while times and times[0] < time.monotonic() - FAILURE_SECONDS:
            times.popleft()
        return times

    def _remember(self, address: str) -> None:
        self.failures.setdefault(address, deque(maxlen=MAX_FAILURES)).append(time.monotonic())
        self.failures.move_to_end(address)
        while len(self.failures) > MAX_ADDRESSES:
            self.failures.popitem(last=False)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    Args:
        host: name or address that a server listens on.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
