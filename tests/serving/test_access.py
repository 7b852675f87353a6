"""Tokens, methods, slow and idle connections, the log, and what pages of other sites may do: nothing unless allowed."""

import base64
import contextlib
import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from selcn.errors import ConfigError
from selcn.inference.predictor import Predictor
from selcn.serving import server
from selcn.serving.access import FAILURE_SECONDS, MAX_FAILURES, Access, is_loopback
from selcn.serving.logs import REQUESTS, JsonFormatter
from selcn.serving.uploads import Upload, read_samples

Serve = Callable[..., AbstractContextManager[str]]
PNG = {"content-type": "image/png"}
# What a page of another site tries: to have an image predicted, in three ways, and to read what a server tells.
SCRIPT = """
async ([address, call, image, credentials]) => {
    const bytes = Uint8Array.from(atob(image), (letter) => letter.charCodeAt(0));
    const tries = [
        ["/gradio_api/component_server", {method: "POST", body: JSON.stringify(call)}],
        ["/gradio_api/component_server", {method: "POST", body: JSON.stringify(call), mode: "no-cors"}],
        ["/v1/predict", {method: "POST", body: bytes, headers: {"content-type": "image/png"}}],
        ["/v1/model", {headers: {authorization: "Bearer asks the server first"}}],
    ];
    const told = [];
    for (const [path, asked] of tries) {
        try {
            const answer = await fetch(address + path, {credentials, ...asked});
            told.push((await answer.text()).length);
        } catch {
            told.push("blocked");
        }
    }
    return told;
}
"""


@contextmanager
def site() -> Iterator[str]:
    """Another site, of an empty page."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as other:
        other.daemon_threads = True  # browsers open connections in advance, which nobody closes
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        yield f"http://localhost:{other.server_port}"
        other.shutdown()
        thread.join()


def predicted(address: str) -> float:
    """How many images a server has predicted."""
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("selcn_pictures_total{") and 'outcome="predicted"' in line]
    return float(found[0].split()[-1]) if found else 0.0


@pytest.mark.parametrize("allowed", [False, True])
def test_pages_of_other_sites_read_and_do_nothing_unless_allowed(
    browser: Browser, serve: Serve, predictor: Predictor, pictures: list[Path], allowed: bool
) -> None:
    image = base64.b64encode(pictures[0].read_bytes()).decode()
    with site() as origin:
        access = Access(origins=(origin,) if allowed else ())
        with serve(predictor, access=access, samples=read_samples(pictures[0].parent)) as address:
            (html,) = [one for one in httpx.get(f"{address}/config").json()["components"] if one["type"] == "html"]
            call = {"data": {"sample": 0}, "component_id": html["id"], "fn_name": "answer", "session_hash": "s"}
            page = browser.new_page()
            page.goto(origin)
            told = page.evaluate(SCRIPT, [address, call, image, "omit" if allowed else "include"])
            page.close()
            if not allowed:
                assert told == ["blocked", 0, "blocked", "blocked"]
                assert predicted(address) == 0
                preflight = httpx.options(
                    f"{address}/gradio_api/component_server",
                    headers={"origin": origin, "access-control-request-method": "POST"},
                )
                assert not [name for name in preflight.headers if name == "access-control-allow-origin"]
            else:
                assert "blocked" not in told
                assert predicted(address) == 3


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # no browser
        ({"origin": "http://HOST"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "http://evil.example", "host": "evil.example"}, 403),  # DNS rebinding
        ({"origin": "http://localhost", "host": "localhost"}, 200),
        ({"origin": "http://10.0.0.1:8000", "host": "10.0.0.1:8000"}, 200),
    ],
)
def test_origin_and_host_are_checked(
    serve: Serve, predictor: Predictor, pictures: list[Path], headers: dict[str, str], status: int
) -> None:
    with serve(predictor) as address:
        sent = {name: value.replace("HOST", address.removeprefix("http://")) for name, value in headers.items()}
        data = pictures[0].read_bytes()
        answer = httpx.post(f"{address}/v1/predict", content=data, headers={**PNG, **sent})
        assert answer.status_code == status
        assert "access-control-allow-origin" not in answer.headers


def test_the_page_s_cookies_stay_on_it(serve: Serve, predictor: Predictor, pictures: list[Path]) -> None:
    samples = [Upload("one", pictures[0].read_bytes())]
    with serve(predictor, access=Access("sécret"), samples=samples) as address:
        answer = httpx.post(f"{address}/login", data={"username": "selcn", "password": "sécret"})
        cookies = answer.headers.get_list("set-cookie")
        assert len(cookies) == 2
        assert all(cookie.count("SameSite") == 1 and cookie.endswith("SameSite=Lax") for cookie in cookies)
        for number in range(MAX_FAILURES + 1):
            wrong = httpx.post(f"{address}/login", data={"username": "selcn", "password": str(number)})
        assert (wrong.status_code, wrong.headers["retry-after"]) == (429, f"{FAILURE_SECONDS:.0f}")


@pytest.mark.parametrize("token", ["secret", "with space & = ; \"'", "žluťoučký à", "秘密"])
def test_tokens_may_have_any_characters_and_the_scheme_any_case(serve: Serve, predictor: Predictor, token: str) -> None:
    with serve(predictor, access=Access(token)) as address:
        for scheme, right in (("Bearer", True), ("bearer", True), ("BEARER", True), ("Basic", False)):
            headers = {b"authorization": f"{scheme} {token}".encode()}
            assert httpx.get(f"{address}/v1/model", headers=headers).status_code == (200 if right else 401)
        described = httpx.get(f"{address}/openapi.json").json()
        assert described["components"]["securitySchemes"] == {"HTTPBearer": {"type": "http", "scheme": "bearer"}}
        assert described["paths"]["/v1/predict"]["post"]["security"] == [{"HTTPBearer": []}]


def test_wrong_tokens_are_not_looked_at_for_ever(serve: Serve, predictor: Predictor) -> None:
    with serve(predictor, access=Access("secret")) as address:
        wrong = [
            httpx.get(f"{address}/v1/model", headers={"authorization": f"Bearer {number}"}).status_code
            for number in range(MAX_FAILURES + 2)
        ]
        assert wrong == [401] * MAX_FAILURES + [429] * 2
        assert httpx.get(f"{address}/v1/model", headers={"authorization": "Bearer secret"}).status_code == 429
        assert httpx.get(f"{address}/healthz").status_code == 200


@pytest.mark.parametrize("token", ["", "new\nline", " space"])
def test_tokens_that_no_header_can_hold_are_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="SELCN_TOKEN"):
        Access(token)


@pytest.mark.parametrize("origin", ["clinic.example", "https://clinic.example/", "*", "https://Clinic.example"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ConfigError, match="--allow-origin"):
        Access(origins=(origin,))


def test_loopback_addresses_are_known() -> None:
    known = {host: is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "10.1.2.3", "lab")}
    assert [host for host, own in known.items() if own] == ["127.0.0.1", "::1", "localhost"]


@pytest.mark.parametrize("page", [False, True])
def test_head_is_answered_and_wrong_methods_are_told(
    serve: Serve, predictor: Predictor, pictures: list[Path], page: bool
) -> None:
    samples = [Upload("one", pictures[0].read_bytes())] if page else None
    with serve(predictor, samples=samples) as address:
        for path in ("/healthz", "/v1/model", "/metrics", *(["/"] if page else [])):
            head, whole = httpx.head(f"{address}{path}"), httpx.get(f"{address}{path}")
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"] == whole.headers["content-type"]
        for method, path, allowed in (
            ("GET", "/v1/predict", "POST"),
            ("HEAD", "/v1/predict", "POST"),
            ("DELETE", "/v1/model", "GET, HEAD"),
            ("POST", "/healthz", "GET, HEAD"),
        ):
            answer = httpx.request(method, f"{address}{path}")
            assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_too_many_files_are_too_large(serve: Serve, predictor: Predictor) -> None:
    with serve(predictor) as address:
        files = [("images", (f"{number}.png", b"x")) for number in range(1001)]
        assert httpx.post(f"{address}/v1/predict", files=files).status_code == 413


def closed(client: socket.socket) -> bool:
    """True, once the server has closed a connection; a time limit of the socket ends a longer wait."""
    with contextlib.suppress(ConnectionResetError):
        while client.recv(4096):
            pass
    return True


def test_slow_heads_and_idle_connections_are_closed(
    serve: Serve, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 4)
    with serve(predictor) as address:
        host, port = address.removeprefix("http://").split(":")
        idle = [socket.create_connection((host, int(port)), timeout=10) for _ in range(4)]
        idle[1].sendall(b"GET /healthz HTTP/1.1\r\nhost:")
        idle[2].sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert idle[2].recv(4096).startswith(b"HTTP/1.1 200")
        idle[2].sendall(b"GET /healthz HTTP/1.1\r\n")  # a second head that never ends
        with socket.create_connection((host, int(port)), timeout=10) as more:
            assert closed(more)
        begun = time.monotonic()
        assert all(closed(client) for client in idle)
        assert time.monotonic() - begun < server.KEEP_ALIVE_SECONDS
        for client in idle:
            client.close()
        assert httpx.get(f"{address}/healthz").status_code == 200


def test_the_log_names_model_and_request_and_nobody(serve: Serve, predictor: Predictor, pictures: list[Path]) -> None:
    written = io.StringIO()
    handler, logger = logging.StreamHandler(written), logging.getLogger(REQUESTS)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with serve(predictor) as address:
            headers = {**PNG, "x-request-id": "abc-1"}
            data = pictures[0].read_bytes()
            answer = httpx.post(f"{address}/v1/predict?patient=Smith", content=data, headers=headers)
            assert answer.headers["x-request-id"] == "abc-1"
            httpx.get(f"{address}/patients/Smith", headers={"x-request-id": "two lines or Smith"})
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    first, second = (json.loads(line) for line in written.getvalue().splitlines())
    assert {key: first[key] for key in ("event", "level", "method", "path", "status", "request")} == {
        "event": "request",
        "level": "info",
        "method": "POST",
        "path": "/v1/predict",
        "status": 200,
        "request": "abc-1",
    }
    assert first["model"] == answer.json()["model"]
    assert 0 < first["seconds"] < 60
    assert (second["path"], second["status"], len(second["request"])) == ("other", 404, 32)
    assert "Smith" not in written.getvalue()
    assert "127.0.0.1" not in written.getvalue()


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_description_loads_nothing_from_elsewhere(
    browser: Browser, serve: Serve, predictor: Predictor, path: str
) -> None:
    with serve(predictor, access=Access("secret")) as address:
        page, elsewhere = browser.new_page(), []
        page.on("request", lambda asked: elsewhere.append(asked) if asked.url.startswith("http") else None)
        page.goto(f"{address}{path}")
        page.get_by_text("/v1/predict").first.wait_for()
        # ReDoc asks for a logo, which the policy keeps the browser from loading.
        left = [asked.url for asked in elsewhere if not asked.url.startswith(address) and asked.failure != "csp"]
        assert left == []
        page.close()
