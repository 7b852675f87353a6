"""The routes of the HTTP interface's own form: `/v1`, health and metrics."""

import json
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.params import Depends as Dependency
from fastapi.responses import JSONResponse

from selcn.inference.bundle import BundleConfig
from selcn.serving.given import PART, given_schema
from selcn.serving.models import Models
from selcn.serving.refusals import refusals, refused
from selcn.serving.schema import Health, ModelAnswer, ModelList, answer_model
from selcn.serving.service import NOTICE, PredictedUpload, Service
from selcn.serving.uploads import Upload, read_uploads, while_connected

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_NAMED = Query(alias="model", description="Name of a bundle, or the beginning of its hash; without it, the first.")


def choose(models: Models, request: Request, name: str | None) -> Service:
    """The bundle that a request asks for, which its log line names.

    Args:
        models: of the server.
        request: that asks.
        name: as `Models.find` takes it.

    Raises:
        HTTPException: 404, there is none of that name.
    """
    with refused():
        service = models.find(name)
    request.state.model = service.identity
    return service


async def predict(service: Service, request: Request, uploads: Sequence[Upload]) -> list[PredictedUpload]:
    """The predictions of a request's uploads, given up when its client is gone.

    Args:
        service: that predicts.
        request: whose body was read.
        uploads: at least one.

    Raises:
        HTTPException: why there are none.
    """
    with refused():
        return await while_connected(request, service.predict(uploads))


def v1_routes(models: Models, guard: Sequence[Dependency]) -> APIRouter:
    """Prediction, and what predicts.

    Args:
        models: of the server.
        guard: dependencies that ask for the token.
    """
    routes = APIRouter(prefix="/v1", dependencies=guard)
    configs = [service.predictor.config for service in models.services]
    answers: Any = reduce(or_, map(answer_model, configs))

    def chosen(request: Request, name: Annotated[str | None, _NAMED] = None) -> Service:
        return choose(models, request, name)

    @routes.post(
        "/predict",
        response_model=answers,
        responses=refusals(),
        openapi_extra={"requestBody": _body(configs)},
    )
    async def answer(
        request: Request,
        service: Annotated[Service, Depends(chosen)],
        pictures: Annotated[bool, Query(description="Also overlay and mask of each, as data URIs.")] = False,
    ) -> JSONResponse:
        """Outline of the lesion, classes and saliency of one or many images."""
        with refused():
            uploads = await read_uploads(request, service.limits, service.predictor.config)
        predicted = await predict(service, request, uploads)
        if all(one.error for one in predicted):
            raise HTTPException(422, "; ".join(str(one.error) for one in predicted))
        rows = await service.rows(predicted, pictures=pictures)
        return JSONResponse({"notice": NOTICE, "model": service.identity.model_dump(), "predictions": rows})

    @routes.get("/model", response_model=ModelAnswer, responses=refusals(401, 404))
    def model(service: Annotated[Service, Depends(chosen)]) -> JSONResponse:
        """What predicts: a bundle, its networks and their classes, and what runs them."""
        config = json.loads(service.predictor.config.to_json())
        return JSONResponse({"notice": NOTICE, "model": service.identity.model_dump(), **config})

    @routes.get("/models", responses=refusals(401))
    def every_model() -> ModelList:
        """The bundles of the server, the default first."""
        return ModelList(notice=NOTICE, models=models.identities)

    return routes


def health_routes(models: Models) -> APIRouter:
    """Health and metrics, which need no token.

    Args:
        models: of the server.
    """
    routes, metrics, room = APIRouter(), models.shared.metrics, models.shared.room

    @routes.get("/livez")
    @routes.get("/healthz")
    async def live() -> Health:
        """Whether the server is up."""
        return Health(status="ok")

    @routes.get("/readyz", responses={503: {"description": "Not yet", "model": Health}})
    async def ready(response: Response) -> Health:
        """Whether the networks of every bundle have predicted, a blank image at the start."""
        response.status_code = 200 if models.ready else 503
        return Health(status="ok" if models.ready else "the networks have not predicted yet")

    @routes.get("/metrics", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
    def prometheus() -> Response:
        """For Prometheus."""
        metrics.waiting.set(room.images)
        metrics.waiting_pixels.set(room.pixels)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    return routes


def _body(configs: Sequence[BundleConfig]) -> dict[str, Any]:
    """The description of a prediction request's body."""
    images = {"type": "array", "items": {"type": "string", "format": "binary"}}
    given = given_schema(configs[0]) if len(configs) == 1 else {"anyOf": list(map(given_schema, configs))}
    form = {"type": "object", "properties": {"images": images, PART: given}, "required": ["images"]}
    raw = dict.fromkeys(("image/*", "application/dicom", "application/octet-stream"), _BINARY)
    encoding = {PART: {"contentType": "application/json"}}
    return {"content": {"multipart/form-data": {"schema": form, "encoding": encoding}, **raw}, "required": True}
