"""The pictures of a request: one as the body itself, or many as multipart/form-data."""

from pathlib import PurePosixPath, PureWindowsPath
from typing import NamedTuple

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from selcn.serving.limits import Limits

RAW = ("image/", "application/dicom", "application/octet-stream")


class Upload(NamedTuple):
    """A picture as it came: its name, never used as a path, and its bytes."""

    name: str
    data: bytes


async def read_pictures(request: Request, limits: Limits) -> list[Upload]:
    """Pictures of a request, kept in memory alone.

    Raises:
        HTTPException: 400 without a picture, 413 with too many, 415 for another kind of body.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        pictures = await _parts(request, limits)
    elif kind.startswith(RAW):
        pictures = [Upload("picture", await request.body())]
    else:
        raise HTTPException(415, "send multipart/form-data with files, or a picture as image/jpeg, image/png ...")
    if not any(picture.data for picture in pictures):
        raise HTTPException(400, "no picture in the body; send at least one")
    return pictures


async def _parts(request: Request, limits: Limits) -> list[Upload]:
    parser = MultiPartParser(request.headers, request.stream(), max_part_size=limits.body)
    parser.spool_max_size = limits.body + 1  # nothing is ever spooled to a disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, f"no readable multipart/form-data: {error.message}") from None
    try:
        uploads = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(uploads) > limits.pictures:
            raise HTTPException(413, f"{len(uploads)} pictures; send at most {limits.pictures} at once")
        return [Upload(base_name(upload.filename or "picture"), await upload.read()) for upload in uploads]
    finally:
        await form.close()


def base_name(name: str) -> str:
    """The last part of a path of either kind, which is all of it that is told again."""
    return PurePosixPath(PureWindowsPath(name).name).name or "picture"
