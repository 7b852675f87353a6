"""A server on 127.0.0.1 that speaks the API of the Hugging Face hub: repositories, commits, large files, downloads."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from running import running

TOKEN = "hf_writer"


@dataclass
class Repository:
    """A model's repository.

    Attributes:
        private: as it was made.
        commits: files by path, by the name of the commit.
        branches: newest commit of each.
    """

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {}})
    branches: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})

    def resolve(self, revision: str) -> str | None:
        """The commit of a branch or a commit."""
        return self.branches.get(revision, revision if revision in self.commits else None)


class Hub(ThreadingHTTPServer):
    """The hub.

    Attributes:
        repositories: by `owner/name`.
        large: content of large files by SHA-256.
        asked: method and path of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def is_large(path: str) -> bool:
    """Whether a file is kept outside Git."""
    return path.endswith((".safetensors", ".onnx"))


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self._body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" and self._path != "/api/validate-yaml":
            self._json({"error": "Invalid username or password."}, 401)
        elif self._path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif self._path == "/api/repos/create":
            self._create(json.loads(body))
        elif found := re.fullmatch(r"/api/models/(.+/.+)/branch/(.+)", self._path):
            branches = self.server.repositories[found[1]].branches
            known = branches.setdefault(found[2], branches["main"])
            self._json({"oid": known})
        elif re.fullmatch(r"/api/models/(.+/.+)/preupload/(.+)", self._path):
            names = [one["path"] for one in json.loads(body)["files"]]
            modes = [{"path": name, "uploadMode": "lfs" if is_large(name) else "regular"} for name in names]
            self._json({"files": [{**mode, "shouldIgnore": False} for mode in modes]})
        elif self._path.endswith(".git/info/lfs/objects/batch"):
            self._json({"transfer": "basic", "objects": [self._upload(one) for one in json.loads(body)["objects"]]})
        elif found := re.fullmatch(r"/api/models/(.+/.+)/commit/(.+)", self._path):
            self._commit(found[1], found[2], [json.loads(line) for line in body.splitlines()])
        else:
            self._json({"error": "Not Found"}, 404)

    def do_PUT(self) -> None:
        self.server.large[self._path.removeprefix("/large/")] = self._body()
        self._json({})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self._body()
        model = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?", self._path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self._path)
        found = model or file
        repository = self.server.repositories.get(found[1]) if found else None
        if found is None or repository is None:
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            return
        commit = repository.resolve((found[2] if file else found[3]) or "main")
        if commit is None:
            self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
            return
        files = repository.commits[commit]
        if file:
            self._file(files.get(file[3]), commit, large=is_large(file[3]))
        elif found[2] == "tree":
            self._json([_entry(path, content) for path, content in sorted(files.items())])
        else:
            self._json({"id": found[1], "sha": commit, "siblings": [{"rfilename": path} for path in sorted(files)]})

    @property
    def _path(self) -> str:
        return unquote(urlsplit(self.path).path)

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        answer = {"url": f"{self.server.address}/{name}", "name": name, "id": name}
        if name in self.server.repositories:
            self._json({**answer, "error": "You already created this model repo"}, 409)
            return
        self.server.repositories[name] = Repository(wanted.get("visibility") == "private")
        self._json(answer)

    def _upload(self, wanted: dict[str, Any]) -> dict[str, Any]:
        action = {"upload": {"href": f"{self.server.address}/large/{wanted['oid']}"}}
        return {**wanted, "actions": action} if wanted["oid"] not in self.server.large else wanted

    def _commit(self, name: str, revision: str, lines: list[dict[str, Any]]) -> None:
        repository = self.server.repositories[name]
        files = dict(repository.commits[repository.branches[revision]])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        digest = hashlib.sha1(b"".join(path.encode() + content for path, content in sorted(files.items()))).hexdigest()
        repository.commits[digest], repository.branches[revision] = files, digest
        self._json({"commitUrl": f"{self.server.address}/{name}/commit/{digest}", "commitOid": digest})

    def _file(self, content: bytes | None, commit: str, *, large: bool) -> None:
        if content is None:
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        tag = hashlib.sha256(content).hexdigest() if large else _blob(content)
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-") or 0)
        self._send(content[start:], {"X-Repo-Commit": commit, "ETag": f'"{tag}"'}, 206 if start else 200)

    def _json(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})}, status)

    def _send(self, content: bytes, headers: dict[str, str], status: int) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> bytes:
        self.server.asked.append(f"{self.command} {self._path}")
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing."""


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": _blob(content)}
    if is_large(path):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


@contextmanager
def hub() -> Iterator[Hub]:
    """A running hub."""
    with running(Hub()) as server:
        yield server
