"""Running a server: health, metrics, several bundles, and bundles that change while it runs."""

import io
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from jsonschema_rs import validate
from prometheus_client.parser import text_string_to_metric_families

import selcn
from selcn.errors import ConfigError
from selcn.inference.predictor import Predictor
from selcn.inference.result import Outputs
from selcn.serving.logs import REQUESTS, JsonFormatter
from selcn.serving.models import Models, UnknownModel
from selcn.serving.monitoring import ServerMetrics
from selcn.serving.service import Resources
from selcn.serving.uploads import Limits, Upload

Serve = Callable[..., AbstractContextManager[str]]
PNG = {"content-type": "image/png"}


def ask(address: str, picture: Path, query: str = "") -> httpx.Response:
    """The answer to a picture."""
    return httpx.post(f"{address}/v1/predict{query}", content=picture.read_bytes(), headers=PNG, timeout=60)


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def measured(address: str) -> dict[tuple[str, ...], float]:
    """Every sample of the metrics by its name and the values of its labels, in the order of their names."""
    families = text_string_to_metric_families(httpx.get(f"{address}/metrics", timeout=60).text)
    samples = [one for family in families for one in family.samples]
    return {(one.name, *(one.labels[name] for name in sorted(one.labels))): one.value for one in samples}


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """What is logged of requests."""
    written, logger = io.StringIO(), logging.getLogger(REQUESTS)
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield written
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def test_a_server_is_live_at_once_and_ready_once_its_networks_have_predicted(
    serve: Serve, predictor: Predictor, own_predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer, hold = own_predictor.infer, threading.Event()

    def held(*given: Any) -> Outputs:
        hold.wait(30)
        return infer(*given)

    monkeypatch.setattr(own_predictor, "infer", held)
    with serve(predictor, own_predictor) as address:

        def status(path: str) -> int:
            return httpx.get(f"{address}{path}").status_code

        until(lambda: status(f"/v2/models/{predictor.name}/ready") == 200)
        ready = ("/readyz", "/v2/health/ready", "/v2/models/own/ready")
        assert [status(path) for path in ready] == [503] * 3
        assert [status(path) for path in ("/livez", "/healthz", "/v2/health/live")] == [200] * 3
        assert httpx.get(f"{address}/v2/health/ready").json() == {"ready": False}
        hold.set()
        until(lambda: status("/readyz") == 200)
        assert [status(path) for path in ready] == [200] * 3


def test_a_bundle_that_cannot_predict_is_never_ready(
    serve: Serve, predictor: Predictor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> Outputs:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(predictor, "infer", fails)
    with serve(predictor) as address:
        until(lambda: "the networks failed on a blank image" in caplog.text)
        assert httpx.get(f"{address}/readyz").status_code == 503
        assert httpx.get(f"{address}/livez").status_code == 200


def test_metrics_count_what_the_predictions_say(serve: Serve, predictor: Predictor, pictures: list[Path]) -> None:
    expected = [predictor.predict(path) for path in pictures]
    with serve(predictor) as address:
        until(lambda: httpx.get(f"{address}/readyz").status_code == 200)
        before = measured(address)
        for path in pictures:
            assert ask(address, path).status_code == 200
        assert httpx.post(f"{address}/v1/predict", content=b"none", headers=PNG).status_code == 422
        found = measured(address)
    name, count = predictor.name, len(pictures)
    assert found["selcn_pictures_total", name, "predicted"] == count
    assert found["selcn_pictures_total", name, "unreadable"] == 1
    assert found["selcn_abstentions_total", name] == sum(one.abstain for one in expected)
    for warning in {warning for one in expected for warning in one.warnings}:
        assert found["selcn_warnings_total", name, warning] == sum(warning in one.warnings for one in expected)
    for stage in ("decode", "prepare", "wait", "networks", "describe", "render"):
        passed = found["selcn_stage_seconds_count", stage] - before.get(("selcn_stage_seconds_count", stage), 0)
        assert passed == count + (stage == "decode")
        assert found["selcn_stage_seconds_sum", stage] > 0
    assert found["selcn_model_info", "torch", predictor.digest, name, selcn.__version__] == 1
    assert found["selcn_requests_total", "/v1/predict", "422"] == 1
    if sys.platform == "linux":
        assert 2**25 < found["process_resident_memory_bytes",] < 2**36


def test_several_bundles_answer_to_their_names_and_hashes(
    serve: Serve, predictor: Predictor, own_predictor: Predictor, pictures: list[Path]
) -> None:
    with serve(predictor, own_predictor) as address, logged() as written:
        models = httpx.get(f"{address}/v1/models").json()["models"]
        assert [(one["name"], one["hash"]) for one in models] == [
            (one.name, one.digest) for one in (predictor, own_predictor)
        ]
        described = httpx.get(f"{address}/openapi.json").json()
        schema = described["paths"]["/v1/predict"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        for query, expected in (
            ("", predictor),
            (f"?model={predictor.name}", predictor),
            ("?model=own", own_predictor),
            (f"?model={own_predictor.digest[:12]}", own_predictor),
        ):
            answer = ask(address, pictures[0], query).raise_for_status().json()
            assert answer["model"]["hash"] == expected.digest
            (row,), truth = answer["predictions"], expected.predict(pictures[0])
            target = expected.config.target
            assert row[target]["probabilities"] == pytest.approx(truth[target].probabilities, abs=1e-5)
            validate({**described, **schema}, answer)
        assert httpx.get(f"{address}/v1/model?model=own").json()["target"] == "blue-veil"
        unknown = ask(address, pictures[0], "?model=other")
        assert (unknown.status_code, unknown.json()["detail"]) == (
            404,
            f"no model is called other; known are {predictor.name}, own",
        )
        assert httpx.get(f"{address}/v1/model?model={own_predictor.digest[:7]}").status_code == 404
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["model"]["name"] for line in lines if line["path"] == "/v1/predict" and line["status"] == 200] == [
        predictor.name,
        predictor.name,
        "own",
        "own",
    ]


def test_bundles_of_one_name_are_told_apart_by_their_hashes(predictor: Predictor, tiny_run: Path) -> None:
    shared = Resources(Limits(), ServerMetrics())
    with pytest.raises(ConfigError, match="given twice"):
        Models([predictor, predictor], shared)
    other = selcn.load(tiny_run / "bundle")
    other.digest = "f" * 64
    models = Models([predictor, other], shared)
    assert models.find("f" * 8) is models.services[1]
    with pytest.raises(UnknownModel, match=f"2 models are called {predictor.name}; .*{'f' * 12}"):
        models.find(predictor.name)


@contextmanager
def started(*arguments: object, **environment: str) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """`selcn serve` in a process of its own, and where its log goes."""
    log = Path(environment.pop("LOG"))
    program = [sys.executable, "-c", "from selcn.cli import main; main()", "serve", *map(str, arguments)]
    with log.open("w") as file:
        process = subprocess.Popen(program, stderr=file, env={**os.environ, **environment}, text=True)
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGHUP")
def test_a_server_is_configured_by_file_and_environment_and_reloads_without_losing_a_request(
    tiny_run: Path, own_predictor: Predictor, own_bundle: Path, pictures: list[Path], tmp_path: Path
) -> None:
    bundle, (token, wrong) = tmp_path / "bundle", (tmp_path / "token", tmp_path / "wrong")
    shutil.copytree(tiny_run / "bundle", bundle)
    token.write_text("sécret\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "server.yaml"
    options = {"bundles": str(bundle), "port": 1, "page": False, "token-file": str(wrong), "body": 7}
    config.write_text(yaml.safe_dump(options))
    environment = {"SELCN_CONFIG": str(config), "SELCN_PORT": "1", "SELCN_TOKEN_FILE": str(token)}
    address, headers = (
        f"http://127.0.0.1:{port}",
        {b"authorization": "Bearer sécret".encode(), b"content-type": b"image/png"},
    )
    data, statuses, hashes, stop = pictures[0].read_bytes(), [], set(), threading.Event()

    def client() -> None:
        while not stop.is_set():
            answer = httpx.post(f"{address}/v1/predict", content=data, headers=headers, timeout=60)
            statuses.append(answer.status_code)
            hashes.add(answer.json()["model"]["hash"])

    def reload(outcome: str, count: int) -> None:
        server.send_signal(signal.SIGHUP)
        until(lambda: measured(address).get(("selcn_reloads_total", outcome)) == count)

    with started("--port", port, LOG=str(tmp_path / "log"), **environment) as (server, log):
        until(lambda: server.poll() is not None or _connects(port), 300)
        until(lambda: httpx.get(f"{address}/readyz").status_code == 200)
        assert httpx.get(f"{address}/v1/model").status_code == 401
        assert httpx.post(f"{address}/v1/predict", content=b"x" * (7 * 2**20 + 1), headers=headers).status_code == 413
        clients = [threading.Thread(target=client) for _ in range(3)]
        for one in clients:
            one.start()
        until(lambda: len(statuses) > 3)
        shutil.rmtree(bundle)
        shutil.copytree(own_bundle, bundle)
        reload("reloaded", 1)
        until(lambda: len(hashes) == 2)
        (bundle / "config.json").write_text("{}")
        reload("failed", 1)
        stop.set()
        for one in clients:
            one.join()
        assert set(statuses) == {200}
        answer = httpx.get(f"{address}/v1/model", headers=headers, timeout=60).json()
        assert answer["model"]["hash"] == own_predictor.digest
        server.terminate()
        assert server.wait(timeout=30) in (0, -signal.SIGTERM)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"time", "level", "event"} <= set(line) for line in lines)
    assert "reloaded" in {line["event"] for line in lines}
    (failed,) = [line for line in lines if line["event"].startswith("not reloaded")]
    assert "config.json" in failed["event"]
    assert "traceback" not in failed
    assert {line["model"]["name"] for line in lines if line.get("path") == "/v1/predict"} == {"tiny", "own"}


def _connects(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_a_page_that_is_open_at_a_reload_asks_for_a_component_that_is_still_there(
    serve: Serve, predictor: Predictor, pictures: list[Path]
) -> None:
    samples, components = [Upload("one", pictures[0].read_bytes())], []
    for _ in range(2):
        with serve(predictor, samples=samples) as address:
            listed = httpx.get(f"{address}/config").json()["components"]
            components.append([one["id"] for one in listed if one["type"] == "html"])
    assert components[0] == components[1]
    assert len(components[0]) == 1
