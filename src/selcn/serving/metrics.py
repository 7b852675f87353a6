"""What Prometheus is told."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from selcn.serving.limits import App, Message, Receive, Scope, Send


class Metrics:
    """Counts of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "selcn_requests", "Requests by path and status.", ["path", "status"], registry=self.registry
        )
        self.pictures = Counter("selcn_pictures", "Pictures by outcome.", ["outcome"], registry=self.registry)
        self.seconds = Histogram("selcn_request_seconds", "Seconds a prediction request.", registry=self.registry)
        self.waiting = Gauge("selcn_waiting_pictures", "Pictures that wait or are worked on.", registry=self.registry)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


class CountingMiddleware:
    """Counts answers by path and status; a path that is not known counts as `other`, so that none can flood memory.

    Args:
        app: whose answers are counted.
        metrics: where.
        paths: that are known.
    """

    def __init__(self, app: App, metrics: Metrics, paths: tuple[str, ...]) -> None:
        self.app, self.metrics, self.paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self.paths else "other"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.metrics.requests.labels(path, message["status"]).inc()
            await send(message)

        await self.app(scope, receive, counted)
