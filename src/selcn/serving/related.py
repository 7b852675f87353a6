"""Bodies of `multipart/related` (RFC 2387), as DICOMweb sends its instances."""

import uuid
from collections.abc import Sequence

from fastapi import HTTPException
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

DICOM = "application/dicom"
_RELATED = b"multipart/related"


def split_related(content_type: str, body: bytes) -> list[bytes]:
    """The contents of the parts of a body.

    Args:
        content_type: header of the request.
        body: of the request.

    Raises:
        HTTPException: 415, it holds no DICOM; 400, it cannot be read.
    """
    kind, options = parse_options_header(content_type)
    if kind != _RELATED or options.get(b"type", DICOM.encode()) != DICOM.encode() or b"boundary" not in options:
        raise HTTPException(415, f'send multipart/related; type="{DICOM}"')
    parts: list[bytearray] = []
    try:
        parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": lambda: parts.append(bytearray()),
                "on_part_data": lambda data, start, end: parts[-1].extend(data[start:end]),
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise HTTPException(400, f"no readable multipart/related: {error}") from None
    return [bytes(part) for part in parts if part]


def join_related(parts: Sequence[bytes]) -> tuple[str, bytes]:
    """Header `Content-Type` and body that hold some DICOM files.

    Args:
        parts: contents of the files.
    """
    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n".encode()
    body = b"".join(head + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    return f'multipart/related; type="{DICOM}"; boundary={boundary}', body
