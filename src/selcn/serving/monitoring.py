"""Metrics of the server for Prometheus."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from selcn.inference.result import Prediction
from selcn.serving.middleware import Paths
from selcn.serving.schema import Identity


class ServerMetrics:
    """Counters of one server, which go on when it reads its bundles again; memory and CPU time of its process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("selcn_requests", "Requests by path and status.", "path", "status")
        self.pictures = self._counter("selcn_pictures", "Pictures by outcome.", "model", "outcome")
        self.abstentions = self._counter("selcn_abstentions", "Pictures on which the target abstains.", "model")
        self.warnings = self._counter("selcn_warnings", "Pictures by warning.", "model", "warning")
        self.reloads = self._counter("selcn_reloads", "Times that the bundles were read again, by outcome.", "outcome")
        self.seconds = Histogram("selcn_request_seconds", "Seconds a prediction request.", registry=self.registry)
        self.stages = Histogram(
            "selcn_stage_seconds",
            "Seconds a stage; of the networks a batch, of all others a picture.",
            ["stage"],
            registry=self.registry,
        )
        self.waiting = self._gauge("selcn_waiting_pictures", "Pictures that wait or are worked on.")
        self.waiting_pixels = self._gauge("selcn_waiting_pixels", "Pixels of the large ones among these.")
        self.models = self._gauge("selcn_model_info", "1 for each bundle that is served.", *Identity.model_fields)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Measures what is done within it.

        Args:
            name: of the stage: decode, prepare, wait, networks, describe, render.
        """
        return self.stages.labels(name).time()

    def count(self, model: str, predictions: Sequence[Prediction]) -> None:
        """Count predicted images, abstentions and warnings.

        Args:
            model: name of the bundle.
            predictions: of its target.
        """
        self.pictures.labels(model, "predicted").inc(len(predictions))
        self.abstentions.labels(model).inc(sum(one.abstain for one in predictions))
        for warning in (warning for one in predictions for warning in one.warnings):
            self.warnings.labels(model, warning).inc()

    def show_models(self, identities: Sequence[Identity]) -> None:
        """State what predicts from now on.

        Args:
            identities: of the bundles.
        """
        self.models.clear()
        for identity in identities:
            self.models.labels(**identity.model_dump()).set(1)

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

    def __init__(self, app: ASGIApp, metrics: ServerMetrics, paths: Paths) -> None:
        self.app, self.metrics, self.paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as the ASGI specification says."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = self.paths.name(scope)

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.metrics.requests.labels(path, message["status"]).inc()
            await send(message)

        await self.app(scope, receive, send_counted)
