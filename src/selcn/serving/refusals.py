"""Refusals of the HTTP interface: their statuses, what they mean, and which error leads to which."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect, Request

from selcn.errors import SelcnError
from selcn.serving.given import GivenError
from selcn.serving.middleware import route_path
from selcn.serving.models import UnknownModel
from selcn.serving.room import QueueFull, TooManyPixels
from selcn.serving.schema import Refusal
from selcn.serving.service import AnswerTimeout

PROTOCOL = "/v2"
"""Root of the Open Inference Protocol, which has a word of its own for why a request is refused."""
GONE = 499
"""Status, as nginx writes it, of what a client did not wait for."""
MEANINGS = {
    400: "No picture in the body, or a body that cannot be read",
    401: "No or a wrong token",
    404: "No such model",
    406: "The answer would have a form that is not accepted",
    408: "The body came too slowly",
    413: "The body is too large, or holds too many pictures",
    415: "Neither multipart/form-data nor a picture",
    422: "No picture could be read, or a parameter or a given result is wrong",
    429: "Too many pictures are waiting",
    502: "The archive did not take the segmentations",
    504: "The answer took too long",
}
PREDICTING = (400, 401, 404, 408, 413, 415, 422, 429, 504)
_STATUSES: Mapping[type[SelcnError], int] = {
    UnknownModel: 404,
    TooManyPixels: 413,
    GivenError: 422,
    QueueFull: 429,
    AnswerTimeout: 504,
}


def refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The description of refusals for OpenAPI.

    Args:
        codes: their statuses, of `MEANINGS`; those of prediction requests where there are none.
    """
    return {code: {"description": MEANINGS[code], "model": Refusal} for code in codes or PREDICTING}


@contextmanager
def refused() -> Iterator[None]:
    """Turns what keeps a request from being answered into the response that says so.

    Raises:
        HTTPException: in place of an error of the request.
    """
    try:
        yield
    except ClientDisconnect:
        raise HTTPException(GONE, "the client is gone") from None
    except tuple(_STATUSES) as error:
        headers = {"Retry-After": "1"} if isinstance(error, QueueFull) else None
        raise HTTPException(_STATUSES[type(error)], str(error), headers) from None


async def invalid_parameters(request: Request, error: Exception) -> JSONResponse:
    """A response to invalid parameters, in the form of every other refusal.

    Args:
        request: that has them.
        error: what is wrong with it.
    """
    assert isinstance(error, RequestValidationError)
    wrong = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
    return await refusal(request, HTTPException(422, wrong))


async def refusal(request: Request, error: Exception) -> JSONResponse:
    """A response that says in one line why a request is refused, in the word of the interface that was asked.

    Args:
        request: that is refused.
        error: why.
    """
    assert isinstance(error, StarletteHTTPException)
    word = "error" if route_path(request.scope).startswith(PROTOCOL) else "detail"
    return JSONResponse({word: error.detail}, error.status_code, error.headers)
