"""The HTTP interface: `POST /v1/predict`, `GET /v1/model`, `/healthz`, `/metrics`; an OpenAPI page at `/docs`."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.requests import ClientDisconnect

from selcn.inference.bundle import BundleConfig
from selcn.inference.predictor import Predictor
from selcn.serving.access import Access, OriginMiddleware, ThrottleMiddleware
from selcn.serving.given import PART, GivenError, given_schema
from selcn.serving.logs import RequestLogMiddleware
from selcn.serving.middleware import BodyLimitMiddleware, MethodMiddleware, SecurityHeadersMiddleware
from selcn.serving.monitoring import RequestCountMiddleware, ServerMetrics
from selcn.serving.room import QueueFull, TooManyPixels
from selcn.serving.schema import ModelAnswer, Refusal, answer_model
from selcn.serving.service import NOTICE, AnswerTimeout, PredictedUpload, Service
from selcn.serving.uploads import Limits, Upload, read_uploads, while_connected

PREDICT = "/v1/predict"
GONE = 499
"""Status, as nginx writes it, of what a client did not wait for."""
PATHS = (PREDICT, "/v1/model", "/healthz", "/metrics", "/")
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_REFUSED = {
    400: "No picture in the body",
    401: "No or a wrong token",
    408: "The body came too slowly",
    413: "The body is too large, or holds too many pictures",
    415: "Neither multipart/form-data nor a picture",
    422: "No picture could be read, or a parameter or a given result is wrong",
    429: "Too many pictures are waiting",
    504: "The answer took too long",
}


def _refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"description": _REFUSED[code], "model": Refusal} for code in codes}


def _body(config: BundleConfig) -> dict[str, Any]:
    """The description of a prediction request's body."""
    images = {"type": "array", "items": {"type": "string", "format": "binary"}}
    form = {"type": "object", "properties": {"images": images, PART: given_schema(config)}, "required": ["images"]}
    raw = dict.fromkeys(("image/*", "application/dicom", "application/octet-stream"), _BINARY)
    encoding = {PART: {"contentType": "application/json"}}
    return {"content": {"multipart/form-data": {"schema": form, "encoding": encoding}, **raw}, "required": True}


def create_app(
    predictor: Predictor,
    *,
    limits: Limits | None = None,
    access: Access | None = None,
    samples: list[Upload] | None = None,
) -> FastAPI:
    """The application of one bundle. No image is stored or logged.

    Args:
        predictor: of the bundle.
        limits: of requests and images; None for the defaults.
        access: who may ask; None for everyone, but not for pages of other sites.
        samples: images to try on the page at `/`; None for no page.
    """
    limits, metrics, access = limits or Limits(), ServerMetrics(), access or Access()
    service = Service(predictor, metrics, limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        answering = asyncio.create_task(service.batcher.run())
        yield
        answering.cancel()
        service.close()

    app = FastAPIOffline(title="selcn", description=NOTICE, lifespan=lifespan)
    app.add_exception_handler(RequestValidationError, _one_line)
    _add_routes(app, service, access)
    if samples is not None:
        from selcn.serving.web import mount_page  # its framework takes seconds to load

        mount_page(app, service, samples, access.token)
    methods = {route.path: tuple(route.methods or ()) for route in app.routes if isinstance(route, APIRoute)}
    # The last one added runs first.
    app.add_middleware(BodyLimitMiddleware, max_bytes=limits.body, seconds=limits.seconds)
    app.add_middleware(MethodMiddleware, methods=methods)
    # The page's framework adds its own, laxer one where there is none.
    app.add_middleware(
        CORSMiddleware, allow_origins=access.origins, allow_methods=["POST"], allow_headers=["authorization"]
    )
    app.add_middleware(OriginMiddleware, access=access)
    app.add_middleware(ThrottleMiddleware)
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(RequestCountMiddleware, metrics=metrics, paths=PATHS)
    app.add_middleware(RequestLogMiddleware, identity=service.identity, paths=PATHS)
    return app


async def _one_line(_: Request, error: Exception) -> JSONResponse:
    """A response to invalid parameters, in the form of every other refusal."""
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    wrong = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in faults)
    return JSONResponse({"detail": wrong}, 422)


def _add_routes(app: FastAPI, service: Service, access: Access) -> None:
    def authorised(request: Request) -> None:
        if access.token is not None and not access.is_right(request.headers.get("authorization", "")):
            raise HTTPException(401, "send the header `Authorization: Bearer TOKEN`", {"WWW-Authenticate": "Bearer"})

    # The first describes the token in OpenAPI; the second asks for it.
    described = [Depends(HTTPBearer(auto_error=False))] if access.token is not None else []
    guard = [*described, Depends(authorised)]

    @app.post(
        PREDICT,
        response_model=answer_model(service.predictor.config),
        responses=_refusals(*_REFUSED),
        openapi_extra={"requestBody": _body(service.predictor.config)},
        dependencies=guard,
    )
    async def predict(
        request: Request,
        pictures: Annotated[bool, Query(description="Also overlay and mask of each, as data URIs.")] = False,
    ) -> JSONResponse:
        """Outline of the lesion, classes and saliency of one or many images."""
        predicted = await _predict(service, request)
        if all(one.error for one in predicted):
            raise HTTPException(422, "; ".join(str(one.error) for one in predicted))
        rows = await service.rows(predicted, pictures=pictures)
        return JSONResponse({"notice": NOTICE, "model": service.identity.model_dump(), "predictions": rows})

    @app.get("/v1/model", response_model=ModelAnswer, dependencies=guard, responses=_refusals(401))
    def model() -> JSONResponse:
        """What predicts: the bundle, its networks and their classes, and what runs them."""
        config = json.loads(service.predictor.config.to_json())
        return JSONResponse({"notice": NOTICE, "model": service.identity.model_dump(), **config})

    @app.get("/healthz")
    def health() -> dict[str, str]:
        """Whether the server is up."""
        return {"status": "ok"}

    @app.get("/metrics", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
    def metrics() -> Response:
        """For Prometheus."""
        service.metrics.waiting.set(service.room.images)
        service.metrics.waiting_pixels.set(service.room.pixels)
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


async def _predict(service: Service, request: Request) -> list[PredictedUpload]:
    try:
        uploads = await read_uploads(request, service.limits, service.predictor.config)
        return await while_connected(request, service.predict(uploads))
    except ClientDisconnect:
        raise HTTPException(GONE, "the client is gone") from None
    except GivenError as error:
        raise HTTPException(422, str(error)) from None
    except TooManyPixels as error:
        raise HTTPException(413, str(error)) from None
    except QueueFull as error:
        raise HTTPException(429, str(error), {"Retry-After": "1"}) from None
    except AnswerTimeout as error:
        raise HTTPException(504, str(error)) from None
