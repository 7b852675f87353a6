"""The Open Inference Protocol: the same predictions as over `/v1`, as tensors."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import selcn
from selcn.inference.predictor import Predictor
from selcn.serving.uploads import Limits

Serve = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="module")
def address(serve: Serve, predictor: Predictor) -> Iterator[str]:
    """Of a server with the usual bundle."""
    with serve(predictor, limits=Limits(pictures=3)) as address:
        yield address


def asked(*files: bytes, **more: Any) -> dict[str, Any]:
    """A request to predict some files."""
    data = [base64.b64encode(one).decode() for one in files]
    return {"inputs": [{"name": "image", "shape": [len(files)], "datatype": "BYTES", "data": data}], **more}


def infer(address: str, name: str, request: object) -> httpx.Response:
    """The answer to a request."""
    return httpx.post(f"{address}/v2/models/{name}/infer", json=request, timeout=60)


def test_tensors_hold_what_v1_answers(address: str, predictor: Predictor, pictures: list[Path]) -> None:
    files = [path.read_bytes() for path in pictures[:3]]
    answer = infer(address, predictor.name, asked(*files, id="a-1")).raise_for_status().json()
    assert {key: answer[key] for key in ("id", "model_name", "model_version")} == {
        "id": "a-1",
        "model_name": predictor.name,
        "model_version": predictor.digest[:12],
    }
    tensors = {one["name"]: np.reshape(one["data"], one["shape"]) for one in answer["outputs"]}
    sent = [("images", (f"image-{number}", file)) for number, file in enumerate(files)]
    rows = httpx.post(f"{address}/v1/predict", files=sent, timeout=60).json()["predictions"]
    described = httpx.get(f"{address}/v2/models/{predictor.name}").json()
    assert list(tensors) == [one["name"] for one in described["outputs"]]
    labels = {one["name"]: one["parameters"].get("labels") for one in described["outputs"]}
    for number, row in enumerate(rows):
        assert json.loads(tensors["row"][number])["lesion"] == row["lesion"]
        assert tensors["abstain"][number] == row["abstain"]
        for name in predictor.config.classifiers:
            assert tensors[name][number] == row[name]["prediction"]
            values = dict(zip(labels[f"{name}_probabilities"], tensors[f"{name}_probabilities"][number], strict=True))
            assert values == pytest.approx(row[name]["probabilities"], abs=1e-4)
            saliency = np.array(row[f"{name}_saliency"])
            assert tensors[f"{name}_saliency"][number].shape == saliency.shape
            assert tensors[f"{name}_saliency"][number] == pytest.approx(saliency, abs=1e-3)


def test_bundle_and_server_are_described(address: str, predictor: Predictor) -> None:
    assert httpx.get(f"{address}/v2").json() == {"name": "selcn", "version": selcn.__version__, "extensions": []}
    found = httpx.get(f"{address}/v2/models/{predictor.name}").json()
    assert (found["name"], found["versions"], found["platform"]) == (
        predictor.name,
        [predictor.digest[:12]],
        "selcn_torch",
    )
    forms = {one["name"]: (one["datatype"], one["shape"]) for one in found["outputs"]}
    assert forms["diagnosis_probabilities"] == ("FP32", [-1, 7])
    assert forms["diagnosis_saliency"] == ("FP32", [-1, -1, -1])
    assert forms["diagnosis"] == ("BYTES", [-1])
    (image,) = found["inputs"]
    assert (image["name"], image["datatype"], image["shape"]) == ("image", "BYTES", [-1])


def test_wanted_outputs_alone_are_answered(address: str, predictor: Predictor, pictures: list[Path]) -> None:
    wanted = [{"name": "diagnosis"}, {"name": "abstain"}]
    answer = infer(address, predictor.digest[:8], asked(pictures[0].read_bytes(), outputs=wanted)).json()
    assert [one["name"] for one in answer["outputs"]] == ["diagnosis", "abstain"]
    assert [one["shape"] for one in answer["outputs"]] == [[1], [1]]


def test_refusals_are_in_the_protocol_s_word(address: str, predictor: Predictor, pictures: list[Path]) -> None:
    good, name = pictures[0].read_bytes(), predictor.name
    (tensor,) = asked(good)["inputs"]
    for request, status in (
        ({}, 422),
        ({"inputs": []}, 400),
        ({"inputs": [{**tensor, "name": "picture"}]}, 400),
        ({"inputs": [{**tensor, "shape": [2]}]}, 400),
        ({"inputs": [{**tensor, "datatype": "FP32"}]}, 400),
        ({"inputs": [{**tensor, "data": ["no base64"]}]}, 400),
        ({"inputs": [{**tensor, "data": [7]}]}, 400),
        (asked(good, outputs=[{"name": "sex"}]), 400),
        (asked(b"no picture"), 422),
        (asked(good, b"no picture"), 422),
        (asked(*[good] * 4), 413),
    ):
        answer = infer(address, name, request)
        assert (answer.status_code, list(answer.json())) == (status, ["error"])
    missing = infer(address, "other", asked(good))
    assert (missing.status_code, missing.json()) == (404, {"error": f"no model is called other; known are {name}"})
    assert httpx.get(f"{address}/v2/models/other/ready").status_code == 404
