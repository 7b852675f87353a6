"""The HTTP interface: `POST /v1/predict`, `GET /v1/model`, `/healthz`, `/metrics`; an OpenAPI page at `/docs`."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse

from selcn.inference import Predictor
from selcn.serving.bodies import read_pictures
from selcn.serving.limits import BodyLimit, Limits
from selcn.serving.metrics import Counted, Metrics
from selcn.serving.service import Service

PREDICT = "/v1/predict"
PATHS = (PREDICT, "/v1/model", "/healthz", "/metrics", "/")
NOTICE = "Research tool, not a medical device."
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"images": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                "required": ["images"],
            }
        },
        "image/*": _BINARY,
        "application/dicom": _BINARY,
        "application/octet-stream": _BINARY,
    },
    "required": True,
}
_FAULTS: dict[int | str, dict[str, Any]] = {
    400: {"description": "No picture in the body"},
    401: {"description": "No or a wrong token"},
    408: {"description": "The body came too slowly"},
    413: {"description": "The body is too large, or holds too many pictures"},
    415: {"description": "Neither multipart/form-data nor a picture"},
    422: {"description": "No picture could be read"},
    429: {"description": "Too many pictures are waiting"},
    504: {"description": "The answer took too long"},
}


def create_app(predictor: Predictor, *, limits: Limits | None = None, token: str | None = None) -> FastAPI:
    """The application of one bundle. No picture is stored or logged.

    Args:
        predictor: of the bundle.
        limits: what is taken; None for the usual.
        token: that callers of `/v1` must bear; None for no such check.
    """
    limits, metrics = limits or Limits(), Metrics()
    service = Service(predictor, metrics, limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        answering = asyncio.create_task(service.batcher.run())
        yield
        answering.cancel()
        service.close()

    app = FastAPI(title="selcn", description=NOTICE, lifespan=lifespan)
    _add_routes(app, service, token)
    # The last one added comes first.
    app.add_middleware(BodyLimit, most=limits.body, seconds=limits.seconds)
    app.add_middleware(Counted, metrics=metrics, paths=PATHS)
    return app


def _add_routes(app: FastAPI, service: Service, token: str | None) -> None:
    def authorised(request: Request) -> None:
        given = request.headers.get("authorization", "")
        if token is not None and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "send the header `Authorization: Bearer TOKEN`", {"WWW-Authenticate": "Bearer"})

    @app.post(PREDICT, responses=_FAULTS, openapi_extra={"requestBody": _BODY}, dependencies=[Depends(authorised)])
    async def predict(
        request: Request,
        pictures: Annotated[bool, Query(description="Also overlay and mask of each, as data URIs.")] = False,
    ) -> JSONResponse:
        """Outline, symmetry, saliency and diagnosis of one or many pictures."""
        answered = await service.answer(await read_pictures(request, service.limits))
        if all(one.error for one in answered):
            raise HTTPException(422, "; ".join(one.error or "" for one in answered))
        return JSONResponse({"notice": NOTICE, "predictions": await service.rows(answered, drawn=pictures)})

    @app.get("/v1/model", dependencies=[Depends(authorised)], responses={401: _FAULTS[401]})
    def model() -> dict[str, Any]:
        """What predicts."""
        return {"notice": NOTICE, **service.predictor.config.model_dump(mode="json")}

    @app.get("/healthz")
    def health() -> dict[str, str]:
        """Whether the server is up."""
        return {"status": "ok"}

    @app.get("/metrics", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
    def metrics() -> Response:
        """For Prometheus."""
        service.metrics.waiting.set(service.batcher.waiting)
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")
