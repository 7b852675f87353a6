"""Uploaded images of a request, as its body or as multipart/form-data, and samples for the page."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple, TypeVar

import cv2
from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from selcn.data.discovery import find_images
from selcn.data.imaging.read import read_bytes
from selcn.data.phantom.plan import plan_lesions
from selcn.data.phantom.write import photograph_lesion
from selcn.data.samples import dermoscopy_samples
from selcn.inference.bundle import BundleConfig
from selcn.labels import HAM10000
from selcn.serving.given import PART, GivenError, GivenUpload, named_parts, parse_given

T = TypeVar("T")
MAX_SAMPLES = 8
_RAW = ("image/", "application/dicom", "application/octet-stream")
_UNNAMED = "picture"
_SAMPLE_SEED, _SAMPLE_SIZE = 7, (480, 360)
_SAMPLED = ("nv", "mel", "bcc", "df")


@dataclass(frozen=True)
class Limits:
    """Limits of requests and images.

    Attributes:
        body: bytes of a request.
        pictures: images of a request, and frames of a file.
        pixels: of an image, or of all frames of a file.
        waiting: images that may wait or be in progress at once.
        waiting_pixels: of all large ones among these together; see `selcn.serving.room`.
        seconds: for a body to arrive, and for a prediction.
    """

    body: int = 20 * 2**20
    pictures: int = 16
    pixels: int = 50_000_000
    waiting: int = 64
    waiting_pixels: int = 200_000_000
    seconds: float = 30.0


class Upload(NamedTuple):
    """An uploaded image file: its name, never used as a path, its bytes, and what is given of it."""

    name: str
    data: bytes
    given: GivenUpload | None = None


async def read_uploads(request: Request, limits: Limits, config: BundleConfig) -> list[Upload]:
    """The image files of a request, and what it gives of them, kept in memory only.

    Args:
        request: with a body.
        limits: of requests and images.
        config: of the bundle.

    Raises:
        HTTPException: 400 without an image, 413 with too many, 415 for another kind of body.
        GivenError: what is given is wrong.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        uploads = await _read_form(request, limits, config)
    elif kind.startswith(_RAW):
        uploads = [Upload(_UNNAMED, await request.body())]
    else:
        raise HTTPException(415, "send multipart/form-data with files, or a picture as image/jpeg, image/png ...")
    if not any(upload.data for upload in uploads):
        raise HTTPException(400, "no picture in the body; send at least one")
    return uploads


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of work, which is cancelled when the client is gone.

    Args:
        request: whose body was read.
        work: for the response.

    Raises:
        ClientDisconnect: the client is gone.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    answering, waiting = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((answering, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientDisconnect
        return answering.result()
    finally:
        answering.cancel()
        waiting.cancel()


async def _read_form(request: Request, limits: Limits, config: BundleConfig) -> list[Upload]:
    parser = MultiPartParser(request.headers, request.stream(), max_part_size=limits.body)
    parser.spool_max_size = limits.body + 1  # nothing is spooled to the disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        large = "exceeded maximum size" in error.message or "Too many" in error.message
        raise HTTPException(413 if large else 400, f"no readable multipart/form-data: {error.message}") from None
    try:
        sent = form.get(PART)
        text = await sent.read() if isinstance(sent, UploadFile) else sent
        named = set() if text is None else named_parts(text)
        files = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile) and name != PART]
        images = [file for name, file in files if name not in named]
        if len(images) > limits.pictures:
            raise HTTPException(413, f"{len(images)} pictures; send at most {limits.pictures} at once")
        uploads = [Upload(base_name(file.filename or _UNNAMED), await file.read()) for file in images]
        if text is None:
            return uploads
        parts = {name: await file.read() for name, file in files if name in named}
        return _with_given(uploads, parse_given(text, parts, config))
    finally:
        await form.close()


def _with_given(uploads: list[Upload], given: dict[str, GivenUpload]) -> list[Upload]:
    names = [upload.name for upload in uploads]
    for name in given:
        if names.count(name) != 1:
            raise GivenError(f"{PART}: {names.count(name)} images are called {name}; name each image apart")
    return [upload._replace(given=given.get(upload.name)) for upload in uploads]


def base_name(name: str) -> str:
    """The last component of a POSIX or Windows path, the only part that responses repeat.

    Args:
        name: as the client sent it.
    """
    return PurePosixPath(PureWindowsPath(name).name).name or _UNNAMED


def read_samples(folder: Path) -> list[Upload]:
    """The first few images of a folder.

    Args:
        folder: searched with its subfolders.

    Raises:
        DataError: it holds none, or one cannot be read.
    """
    return [Upload(path.name, read_bytes(path)) for path in find_images(folder)[:MAX_SAMPLES]]


def draw_samples() -> list[Upload]:
    """Dermoscopy that comes with selcn, and synthetic lesions, the same at every start, kept in memory only."""
    photographs = [
        Upload(f"{HAM10000.long_name(one.diagnosis)}, {one.isic_id}, CC0", read_bytes(one.path))
        for one in dermoscopy_samples()
    ]
    plans = list(plan_lesions(100, _SAMPLE_SEED))
    chosen = [next(plan for plan in plans if plan.diagnosis == diagnosis) for diagnosis in _SAMPLED]
    images = [next(photograph_lesion(plan, _SAMPLE_SEED, _SAMPLE_SIZE)).image for plan in chosen]
    return photographs + [
        Upload(f"synthetic {HAM10000.long_name(plan.diagnosis)}", cv2.imencode(".png", image[..., ::-1])[1].tobytes())
        for plan, image in zip(chosen, images, strict=True)
    ]
