"""The log: a line of JSON a request and an event, with neither addresses nor query strings, names or images."""

import json
import logging
import re
import time
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from selcn.serving.middleware import Paths
from selcn.serving.schema import Identity

REQUESTS = "selcn.requests"
REQUEST_ID = "x-request-id"
_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
_LOGGER = logging.getLogger(REQUESTS)
_REQUEST: ContextVar[str | None] = ContextVar("request", default=None)


class JsonFormatter(logging.Formatter):
    """A line of JSON for every record."""

    def format(self, record: logging.LogRecord) -> str:
        """The line: time, level, what happened, and the fields of a request."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **({"request": _REQUEST.get()} if _REQUEST.get() else {}),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": JsonFormatter}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "loggers": {
        name: {"handlers": ["stderr"], "level": "INFO", "propagate": False} for name in ("uvicorn", "asyncio", "selcn")
    },
}


class RequestLogMiddleware:
    """Logs each request once it is answered, and gives it an id, which the response repeats in `X-Request-ID`.

    Args:
        app: whose requests are logged.
        identity: of what predicts where a request names nothing else.
        paths: known paths; others are logged as `other`, since they may hold anything.
    """

    def __init__(self, app: ASGIApp, identity: Identity, paths: Paths) -> None:
        self.app, self.identity, self.paths = app, identity, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI specification says."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        _REQUEST.set(request_id)  # a connection's requests have a task, and so a context, each
        path, state = self.paths.name(scope), scope.setdefault("state", {})
        begun, status = time.perf_counter(), 500

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (REQUEST_ID.encode(), request_id.encode())]
            await send(message)

        try:
            await self.app(scope, receive, send_named)
        finally:
            fields = {
                "method": scope["method"],
                "path": path,
                "status": status,
                "seconds": round(time.perf_counter() - begun, 4),
                "model": state.get("model", self.identity).model_dump(),
            }
            _LOGGER.info("request", extra={"fields": fields})
