"""DICOMweb: an archive sends images by STOW-RS, and gets the lesions' outlines as DICOM Segmentation.

The server stores nothing. Segmentations go to an archive, by STOW-RS as well, or are the answer to who accepts them.
See DICOM PS3.18, section 10.5.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pydicom
from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.params import Depends as Dependency
from pydicom.uid import SegmentationStorage

from selcn.data.imaging.dicom_segmentation import encode_segmentation, read_header
from selcn.errors import ConfigError, DataError
from selcn.serving.models import Models
from selcn.serving.refusals import refusals
from selcn.serving.related import DICOM, join_related, split_related
from selcn.serving.routes import choose, predict
from selcn.serving.service import PredictedUpload, Service
from selcn.serving.uploads import Upload

JSON = "application/dicom+json"
NOT_UNDERSTOOD, NOT_SUPPORTED, ELSEWHERE = 0xC000, 0x0122, 0xA900
"""Failure reasons: cannot understand; SOP class not supported; data set does not match."""
_BODY = {"content": {"multipart/related": {"schema": {"type": "string", "format": "binary"}}}, "required": True}
_ANSWER: dict[str, Any] = {JSON: {}, "multipart/related": {}}


class _Instance(NamedTuple):
    """An instance that was sent, with its header where it can be read; and why it is refused, where it is."""

    upload: Upload
    header: pydicom.Dataset | None
    reason: int = 0
    why: str = ""


def dicomweb_routes(models: Models, guard: Sequence[Dependency], archive: str | None) -> APIRouter:
    """The routes of DICOMweb.

    Args:
        models: of the server.
        guard: dependencies that ask for the token.
        archive: root of the DICOMweb service to which segmentations go, such as `http://archive:8042/dicom-web`; None
            for none.

    Raises:
        ConfigError: that is no address.
    """
    routes = APIRouter(prefix="/dicomweb", dependencies=guard)
    if archive is not None and not (archive.startswith(("http://", "https://")) and urlsplit(archive).hostname):
        raise ConfigError("--stow-to: is no address; write such as http://archive:8042/dicom-web")
    described: Any = {
        "responses": {
            **refusals(400, 401, 404, 406, 408, 413, 415, 422, 429, 502, 504),
            200: {"description": "All were segmented", "content": _ANSWER},
            202: {"description": "Some were segmented", "content": _ANSWER},
            409: {"description": "None was segmented", "content": {JSON: {}}},
        },
        "openapi_extra": {"requestBody": _BODY},
        "response_class": Response,
    }

    @routes.post("/studies", **described)
    @routes.post("/studies/{study}", **described)
    async def store(
        request: Request, study: str | None = None, model: Annotated[str | None, Query(description="Bundle.")] = None
    ) -> Response:
        """The outline of the lesion in each image, as DICOM Segmentation: to the archive, or as the answer."""
        service = choose(models, request, model)
        wanted = DICOM in request.headers.get("accept", "").replace(JSON, "")
        _check(service, wanted, archive)
        instances = await _instances(request, service, study)
        outcomes = await _segment(service, request, instances)
        made = [one for one, _ in outcomes if not one.why]
        files = [file for _, files in outcomes for file in files]
        refused = [one for one, _ in outcomes if one.why]
        status, headers = 200 if not refused else 202 if made else 409, _warning(refused)
        if wanted and made:
            kind, body = join_related(files)
            return Response(body, status, headers, media_type=kind)
        if made and archive is not None:
            await _send(archive, files, service.limits.seconds)
        return Response(_result(made, refused), status, headers, media_type=JSON)

    return routes


def _check(service: Service, wanted: bool, archive: str | None) -> None:
    if service.predictor.config.segmenter is None:
        raise HTTPException(422, f"bundle {service.identity.name}: has no segmentation network; name another")
    if not wanted and archive is None:
        raise HTTPException(
            406, f'accept multipart/related; type="{DICOM}", or start the server with --stow-to for an archive'
        )


async def _instances(request: Request, service: Service, study: str | None) -> list[_Instance]:
    files = split_related(request.headers.get("content-type", ""), await request.body())
    if not files:
        raise HTTPException(400, "no instance in the body; send at least one")
    if len(files) > service.limits.pictures:
        raise HTTPException(413, f"{len(files)} instances; send at most {service.limits.pictures} at once")
    uploads = [Upload(f"instance {number}", file) for number, file in enumerate(files, 1)]
    return [await service.threads.call(0, _instance, upload, study) for upload in uploads]


def _instance(upload: Upload, study: str | None) -> _Instance:
    try:
        header = read_header(upload.data, Path(upload.name))
    except DataError as error:
        return _Instance(upload, None, NOT_UNDERSTOOD, str(error))
    if header.SOPClassUID == SegmentationStorage:
        return _Instance(upload, header, NOT_SUPPORTED, f"{upload.name}: is a segmentation; send images")
    if study is not None and header.StudyInstanceUID != study:
        return _Instance(upload, header, ELSEWHERE, f"{upload.name}: is of another study")
    return _Instance(upload, header)


async def _segment(
    service: Service, request: Request, instances: Sequence[_Instance]
) -> list[tuple[_Instance, list[bytes]]]:
    """Each instance with the files of its segmentations, one a frame; or with why there are none."""
    uploads = [one.upload for one in instances if not one.why]
    predicted = iter(await predict(service, request, uploads) if uploads else [])
    source, outcomes = f"{service.identity.name} {service.identity.hash}", []
    for instance in instances:
        files: list[bytes] = []
        if not instance.why:
            try:
                one = next(predicted)
                files = await service.threads.call(one.pixels, _encode, instance, one, source)
            except DataError as error:
                instance = instance._replace(reason=NOT_UNDERSTOOD, why=str(error))
        outcomes.append((instance, files))
    return outcomes


def _encode(instance: _Instance, predicted: PredictedUpload, source: str) -> list[bytes]:
    if predicted.error is not None:
        raise predicted.error
    assert instance.header is not None
    several = len(predicted.predictions) > 1
    encode = partial(encode_segmentation, header=instance.header, path=Path(predicted.name), source=source)
    return [
        encode(prediction.lesion.mask, frame=number if several else None)
        for number, prediction in enumerate(predicted.predictions)
        if prediction.lesion is not None
    ]


async def _send(archive: str, files: Sequence[bytes], seconds: float) -> None:
    kind, body = join_related(files)
    where = urlsplit(archive).hostname
    try:
        async with httpx.AsyncClient(timeout=seconds) as client:
            headers = {"content-type": kind, "accept": JSON}
            answer = await client.post(f"{archive.rstrip('/')}/studies", content=body, headers=headers)
    except httpx.HTTPError as error:
        raise HTTPException(502, f"the archive {where} does not answer ({type(error).__name__})") from None
    if answer.status_code != 200:
        raise HTTPException(502, f"the archive {where} did not take the segmentations (status {answer.status_code})")


def _warning(refused: Sequence[_Instance]) -> dict[str, str]:
    """A header that says in words what the failure reasons mean."""
    why = "; ".join(one.why for one in refused).encode("ascii", "replace").decode().replace('"', "'")
    return {"Warning": f'299 selcn "{why}"'} if why else {}


def _result(stored: Sequence[_Instance], refused: Sequence[_Instance]) -> str:
    result = pydicom.Dataset()
    result.ReferencedSOPSequence = [_reference(one) for one in stored]
    if refused:
        result.FailedSOPSequence = [_reference(one, one.reason) for one in refused]
    return result.to_json()


def _reference(instance: _Instance, reason: int | None = None) -> pydicom.Dataset:
    item, header = pydicom.Dataset(), instance.header
    if header is not None:
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    if reason is not None:
        item.FailureReason = reason
    return item
