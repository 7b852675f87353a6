"""Uvicorn as it is configured here: time for a request's head, connections at once, the log, proxies, the end."""

import asyncio
import socket
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from selcn.serving.logs import LOGGING

HEAD_SECONDS = 10.0
"""From the connection, or the first byte of a further request, to the end of the request's head."""
KEEP_ALIVE_SECONDS = 5
SHUTDOWN_SECONDS = 5
"""For requests in progress, before they are given up at the end."""
MAX_CONNECTIONS = 512
BACKLOG = 100
"""Connections accepted in one go, before those beyond the largest number are closed."""
MAX_HEAD = 32 * 2**10
"""Bytes of a request's head."""


class LimitedProtocol(H11Protocol):
    """HTTP with a limit of the time that a request's head may take, and of connections.

    Uvicorn's own time limit begins after the first response. A connection that sends nothing would stay.
    """

    timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Watch a new connection, or close it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > _max_connections():
            transport.abort()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Handle data, and end or begin the wait for a request's head."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        if self.timer:
            self.timer.cancel()

    def _watch(self) -> None:
        waits = self.conn.their_state is h11.IDLE
        if waits and self.timer is None:
            self.timer = self.loop.call_later(HEAD_SECONDS, self._close)
        elif not waits and self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _close(self) -> None:
        self.timer = None
        if self.conn.their_state is h11.IDLE:
            self.transport.close()


def uvicorn_config(app: ASGIApp, *, root_path: str = "", proxies: str = "", **more: Any) -> uvicorn.Config:  # noqa: ANN401
    """How the application is served.

    Args:
        app: of `create_app`, or a `ReloadingApp`.
        root_path: path at which a proxy serves it, such as `/selcn`; "" for none.
        proxies: addresses, by commas, whose `X-Forwarded-For` and `-Proto` are believed; "" for none.
        **more: further options of uvicorn.
    """
    settings: dict[str, Any] = {
        "http": LimitedProtocol,
        "ws": "none",
        "lifespan": "on",  # a server that cannot start must not seem to
        "log_config": LOGGING,
        "access_log": False,
        "server_header": False,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": SHUTDOWN_SECONDS,
        "h11_max_incomplete_event_size": MAX_HEAD,
        "backlog": BACKLOG,
        "root_path": root_path.rstrip("/"),
        "proxy_headers": bool(proxies),
        "forwarded_allow_ips": proxies or None,
    }
    return uvicorn.Config(app, **{**settings, **more})


def listen(host: str, port: int) -> socket.socket:
    """A socket, bound before anything is started, so that an address which is taken is told at once.

    Args:
        host: address to listen on.
        port: 0 for any.

    Raises:
        OSError: it cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def _max_connections() -> int:
    """At most half of the files that a process may open, so that accepting never fails for want of them."""
    try:
        import resource
    except ImportError:  # Windows
        return MAX_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, files // 2)
