"""The Open Inference Protocol (`/v2`), which KServe, Triton and MLServer speak as well.

The one input is `image`: files of any format that is read, as base64, since the protocol's JSON holds no bytes. See
https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import APIRouter, HTTPException, Path, Request, Response
from fastapi.params import Depends as Dependency
from pydantic import BaseModel, Field

from selcn.inference.bundle import BundleConfig
from selcn.inference.given import saliency_name
from selcn.inference.row import Row
from selcn.serving.models import Models
from selcn.serving.refusals import MEANINGS, PROTOCOL
from selcn.serving.routes import choose, predict
from selcn.serving.schema import Identity
from selcn.serving.service import NOTICE, Service
from selcn.serving.uploads import Upload

IMAGE = "image"
_HASH_DIGITS = 12


class Tensor(BaseModel):
    """A tensor of a request or an answer."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any] = Field(description="In row-major order; BYTES are strings.")


class RequestedOutput(BaseModel):
    """An output that a request wants."""

    name: str


class InferRequest(BaseModel):
    """Images to predict."""

    id: str | None = None
    inputs: list[Tensor] = Field(description="One, `image`: BYTES of shape [N], files as base64.")
    outputs: list[RequestedOutput] | None = Field(None, description="All, where it is left out.")


class InferAnswer(BaseModel):
    """The predictions of some images."""

    id: str | None = None
    model_name: str
    model_version: str = Field(description="Beginning of the bundle's hash.")
    parameters: dict[Literal["notice", "engine", "selcn"], str]
    outputs: list[Tensor]


class TensorDescription(BaseModel):
    """Form of a tensor; -1 is any number."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[Literal["labels"], list[str]] = Field({}, description="Classes, in the order of the values.")


class ModelDescription(BaseModel):
    """A bundle's inputs and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorDescription]
    outputs: list[TensorDescription]


class ServerDescription(BaseModel):
    """What serves."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """Whether the server is up."""

    live: bool


class Ready(BaseModel):
    """Whether all bundles can predict."""

    ready: bool


class ModelReady(Ready):
    """Whether a bundle can predict."""

    name: str


class Failure(BaseModel):
    """Why a request was refused."""

    error: str


class _Output(NamedTuple):
    """An output: its form, and its values of one row."""

    description: TensorDescription
    values: Callable[[Row], list[Any]]


def protocol_routes(models: Models, guard: Sequence[Dependency]) -> APIRouter:
    """The routes of the protocol; health needs no token.

    Args:
        models: of the server.
        guard: dependencies that ask for the token.
    """
    routes = APIRouter(prefix=PROTOCOL)
    _add_health(routes, models)
    known = [identity.name for identity in models.identities]
    named = Path(description="Name of a bundle, or the beginning of its hash.", examples=known)

    @routes.get("", dependencies=guard, responses=failures(401))
    async def server() -> ServerDescription:
        """What serves."""
        return ServerDescription(name="selcn", version=models.default.identity.selcn, extensions=[])

    @routes.get("/models/{name}", dependencies=guard, responses=failures(401, 404))
    async def model(request: Request, name: Annotated[str, named]) -> ModelDescription:
        """Inputs and outputs of a bundle."""
        return _describe(choose(models, request, name))

    @routes.get("/models/{name}/ready", dependencies=guard, responses={**failures(401, 404), 503: {"model": Ready}})
    async def model_ready(request: Request, response: Response, name: Annotated[str, named]) -> ModelReady:
        """Whether the networks of a bundle have predicted."""
        service = choose(models, request, name)
        response.status_code = 200 if service.ready else 503
        return ModelReady(name=service.identity.name, ready=service.ready)

    @routes.post("/models/{name}/infer", dependencies=guard, responses=failures(400, 401, 404, 408, 413, 422, 429, 504))
    async def infer(request: Request, name: Annotated[str, named], asked: InferRequest) -> InferAnswer:
        """Classes, probabilities and saliency of some images, and their rows as `/v1/predict` gives them."""
        service = choose(models, request, name)
        outputs = _chosen(asked, service.predictor.config)
        uploads = _uploads(asked, service.limits.pictures)
        predicted = await predict(service, request, uploads)
        rows = await service.rows(predicted, pictures=False)
        _refuse_gaps(rows)
        return _answer(asked, service.identity, [_tensor(output, rows) for output in outputs])

    return routes


def _add_health(routes: APIRouter, models: Models) -> None:
    @routes.get("/health/live")
    async def live() -> Live:
        """Whether the server is up."""
        return Live(live=True)

    @routes.get("/health/ready", responses={503: {"model": Ready}})
    async def ready(response: Response) -> Ready:
        """Whether the networks of every bundle have predicted, a blank image at the start."""
        response.status_code = 200 if models.ready else 503
        return Ready(ready=models.ready)


def failures(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The description of refusals for OpenAPI, as the protocol words them.

    Args:
        codes: their statuses.
    """
    return {code: {"description": MEANINGS[code], "model": Failure} for code in codes}


def outputs_of(config: BundleConfig) -> dict[str, _Output]:
    """The outputs of a bundle's networks, by name; an undefined class is "", its probabilities 0.

    Args:
        config: of the bundle.
    """
    outputs = [_output("row", "BYTES", [], lambda row: [json.dumps(row)])]
    if config.target in config.classifiers:
        outputs.append(_output("abstain", "BOOL", [], lambda row: [row["abstain"]]))
    for name in config.classifiers:
        labels = list(config.labels(name).names)
        outputs += [
            _output(name, "BYTES", [], lambda row, name=name: [row[name]["prediction"] or ""]),
            _output(
                f"{name}_probabilities",
                "FP32",
                [len(labels)],
                lambda row, name=name, labels=labels: [
                    (row[name]["probabilities"] or {}).get(one, 0) for one in labels
                ],
                labels,
            ),
            _output(
                saliency_name(name),
                "FP32",
                [-1, -1],
                lambda row, name=name: [value for line in row[saliency_name(name)] for value in line],
            ),
        ]
    return {output.description.name: output for output in outputs}


def _output(
    name: str, datatype: str, shape: list[int], values: Callable[..., list[Any]], labels: Sequence[str] = ()
) -> _Output:
    parameters: Any = {"labels": list(labels)} if labels else {}
    return _Output(TensorDescription(name=name, datatype=datatype, shape=[-1, *shape], parameters=parameters), values)


def _describe(service: Service) -> ModelDescription:
    identity = service.identity
    return ModelDescription(
        name=identity.name,
        versions=[identity.hash[:_HASH_DIGITS]],
        platform=f"selcn_{identity.engine}",
        inputs=[TensorDescription(name=IMAGE, datatype="BYTES", shape=[-1])],
        outputs=[output.description for output in outputs_of(service.predictor.config).values()],
    )


def _chosen(asked: InferRequest, config: BundleConfig) -> list[_Output]:
    known: Mapping[str, _Output] = outputs_of(config)
    names = list(known) if asked.outputs is None else [one.name for one in asked.outputs]
    for name in names:
        if name not in known:
            raise HTTPException(400, f"no output is called {name}; known are {', '.join(known)}")
    return [known[name] for name in names]


def _uploads(asked: InferRequest, most: int) -> list[Upload]:
    if [one.name for one in asked.inputs] != [IMAGE]:
        raise HTTPException(400, f"send one input, {IMAGE}")
    (tensor,) = asked.inputs
    if tensor.datatype != "BYTES" or not tensor.data or math.prod(tensor.shape) != len(tensor.data):
        raise HTTPException(400, f"{IMAGE}: send BYTES of shape [N], N files as base64")
    if len(tensor.data) > most:
        raise HTTPException(413, f"{len(tensor.data)} pictures; send at most {most} at once")
    uploads = []
    for number, text in enumerate(tensor.data):
        try:
            uploads.append(Upload(f"{IMAGE}-{number}", base64.b64decode(text, validate=True)))
        except (binascii.Error, ValueError, TypeError):
            raise HTTPException(400, f"{IMAGE}-{number}: is not base64") from None
    return uploads


def _refuse_gaps(rows: Sequence[Row]) -> None:
    """A tensor has a row for every image: what `/v1/predict` tells in a row of its own refuses the request here."""
    errors = [row["error"] for row in rows if "error" in row]
    several = [f"{row['image']}: holds several frames; send them apart" for row in rows if "frame" in row][:1]
    if errors or several:
        raise HTTPException(422, "; ".join([*errors, *several]))


def _tensor(output: _Output, rows: Sequence[Row]) -> Tensor:
    form, values = output.description, [output.values(row) for row in rows]
    shape = [len(rows), *form.shape[1:]]
    if -1 in shape:
        grid = rows[0][form.name]
        shape = [len(rows), len(grid), len(grid[0])]
    return Tensor(name=form.name, datatype=form.datatype, shape=shape, data=[one for row in values for one in row])


def _answer(asked: InferRequest, identity: Identity, outputs: list[Tensor]) -> InferAnswer:
    return InferAnswer(
        id=asked.id,
        model_name=identity.name,
        model_version=identity.hash[:_HASH_DIGITS],
        parameters={"notice": NOTICE, "engine": identity.engine, "selcn": identity.selcn},
        outputs=outputs,
    )
