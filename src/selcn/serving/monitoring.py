"""Metrics of the server for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from selcn.serving.middleware import route_path


class ServerMetrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "selcn_requests", "Requests by path and status.", ["path", "status"], registry=self.registry
        )
        self.pictures = Counter("selcn_pictures", "Pictures by outcome.", ["outcome"], registry=self.registry)
        self.seconds = Histogram("selcn_request_seconds", "Seconds a prediction request.", registry=self.registry)
        self.waiting = Gauge("selcn_waiting_pictures", "Pictures that wait or are worked on.", registry=self.registry)
        self.waiting_pixels = Gauge(
            "selcn_waiting_pixels", "Pixels of the large ones among these.", registry=self.registry
        )

    def text(self) -> bytes:
        """The counters in Prometheus' text format."""
        return generate_latest(self.registry)


class RequestCountMiddleware:
    """Counts responses by path and status; unknown paths count as `other`, so that they cannot exhaust memory.

    Args:
        app: whose responses are counted.
        metrics: the counters.
        paths: known paths.
    """

    def __init__(self, app: ASGIApp, metrics: ServerMetrics, paths: tuple[str, ...]) -> None:
        self.app, self.metrics, self.paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI specification says."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = route_path(scope) if route_path(scope) in self.paths else "other"

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.metrics.requests.labels(path, message["status"]).inc()
            await send(message)

        await self.app(scope, receive, send_counted)
