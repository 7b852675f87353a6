"""A server of files on 127.0.0.1 that knows ranges and versions, and whose connections can be cut."""

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

from running import running


class FileServer(ThreadingHTTPServer):
    """Serves bytes by path.

    Attributes:
        files: content by path and query, without the leading slash.
        cut: how many bytes of a path come on each of its next connections, before that breaks off.
        asked: of each request, its path and `Range`.
        tags: whether versions are named by an `ETag`.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.cut: dict[str, list[int]] = {}
        self.asked: list[tuple[str, str]] = []
        self.tags = True

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        path = self.path.lstrip("/")
        wanted = self.headers.get("Range", "")
        self.server.asked.append((path, wanted))
        content = self.server.files.get(path)
        if content is None:
            self.send_error(404)
            return
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
        if self.headers.get("If-Range") != tag:
            start = 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.server.tags:
            self.send_header("ETag", tag)
        self.send_header("Content-Type", "text/html" if content.startswith(b"<html") else "application/octet-stream")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cuts = self.server.cut.get(path, [])
        self.wfile.write(content[start : start + cuts.pop(0)] if cuts else content[start:])
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def serving() -> Iterator[FileServer]:
    """A running server."""
    with running(FileServer()) as server:
        yield server


def zipped(members: Mapping[str, bytes], compression: int = ZIP_STORED) -> bytes:
    """A ZIP archive of contents by name."""
    made = io.BytesIO()
    with ZipFile(made, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def zipped_folder(folder: Path) -> bytes:
    """A ZIP archive of a folder, whose name its members begin with."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return zipped({path.relative_to(folder.parent).as_posix(): path.read_bytes() for path in files})
