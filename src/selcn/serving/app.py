"""The application: routes of the HTTP interface, the page, and what every request passes through before."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.params import Depends as Dependency
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException as StarletteHTTPException

from selcn.errors import require_extra
from selcn.inference.predictor import Predictor
from selcn.serving.access import Access, OriginMiddleware, ThrottleMiddleware
from selcn.serving.logs import RequestLogMiddleware
from selcn.serving.middleware import BodyLimitMiddleware, MethodMiddleware, Paths, SecurityHeadersMiddleware
from selcn.serving.models import Models
from selcn.serving.monitoring import RequestCountMiddleware, ServerMetrics
from selcn.serving.protocol import protocol_routes
from selcn.serving.refusals import invalid_parameters, refusal
from selcn.serving.routes import health_routes, v1_routes
from selcn.serving.service import NOTICE, Resources
from selcn.serving.uploads import Limits, Upload


def create_app(
    *predictors: Predictor,
    limits: Limits | None = None,
    access: Access | None = None,
    samples: list[Upload] | None = None,
    metrics: ServerMetrics | None = None,
    archive: str | None = None,
) -> FastAPI:
    """The application of some bundles. No image is stored or logged.

    Args:
        *predictors: of the bundles, the default first.
        limits: of requests and images; None for the defaults.
        access: who may ask; None for everyone, but not for pages of other sites.
        samples: images to try on the page at `/`; None for no page.
        metrics: counters to go on with; None for new ones.
        archive: root of the DICOMweb service to which segmentations go; None for none.

    Raises:
        ConfigError: a bundle is given twice, or the archive is no address.
    """
    limits, metrics, access = limits or Limits(), metrics or ServerMetrics(), access or Access()
    models = Models(predictors, Resources(limits, metrics))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with models.running():
            yield

    app = FastAPIOffline(title="selcn", description=NOTICE, lifespan=lifespan)
    app.add_exception_handler(RequestValidationError, invalid_parameters)
    app.add_exception_handler(StarletteHTTPException, refusal)
    routers = _routers(models, _guard(access), archive)
    for router in routers:
        app.include_router(router)
    paths = Paths([*app.routes, *(route for router in routers for route in router.routes)])
    if samples is not None:
        from selcn.serving.web import mount_page  # its framework takes seconds to load

        mount_page(app, models.default, samples, access.token)
    _add_middleware(app, models, access, paths)
    return app


def _routers(models: Models, guard: Sequence[Dependency], archive: str | None) -> list[APIRouter]:
    routers = [v1_routes(models, guard), protocol_routes(models, guard), health_routes(models)]
    if archive is not None:
        require_extra("highdicom", "dicom", "--stow-to")
    if find_spec("highdicom") is not None:
        from selcn.serving.dicomweb import dicomweb_routes

        routers.append(dicomweb_routes(models, guard, archive))
    return routers


def _guard(access: Access) -> list[Dependency]:
    """Dependencies that ask for the token: the first describes it in OpenAPI."""

    def authorised(request: Request) -> None:
        if access.token is not None and not access.is_right(request.headers.get("authorization", "")):
            raise HTTPException(401, "send the header `Authorization: Bearer TOKEN`", {"WWW-Authenticate": "Bearer"})

    return [*([Depends(HTTPBearer(auto_error=False))] if access.token is not None else []), Depends(authorised)]


def _add_middleware(app: FastAPI, models: Models, access: Access, paths: Paths) -> None:
    """The last one added runs first."""
    limits, metrics = models.shared.limits, models.shared.metrics
    app.add_middleware(BodyLimitMiddleware, max_bytes=limits.body, seconds=limits.seconds)
    app.add_middleware(MethodMiddleware, paths=paths)
    # The page's framework adds its own, laxer one where there is none.
    app.add_middleware(
        CORSMiddleware, allow_origins=access.origins, allow_methods=["GET", "POST"], allow_headers=["authorization"]
    )
    app.add_middleware(OriginMiddleware, access=access)
    app.add_middleware(ThrottleMiddleware)
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(RequestCountMiddleware, metrics=metrics, paths=paths)
    app.add_middleware(RequestLogMiddleware, identity=models.default.identity, paths=paths)
