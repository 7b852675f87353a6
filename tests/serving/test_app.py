"""The server over real connections: answers, refusals, many clients at once, and nothing left behind."""

import asyncio
import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from jsonschema_rs import ValidationError, validate
from pydicom.dataset import FileDataset

import selcn
from selcn.data.imaging.read import read_image
from selcn.inference.predictor import Predictor
from selcn.inference.result import Outputs
from selcn.inference.row import flatten, row_fields
from selcn.io.files import sha256
from selcn.serving.access import Access
from selcn.serving.schema import answer_model
from selcn.serving.uploads import Limits

Serve = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="module")
def address(serve: Serve, predictor: Predictor) -> Iterator[str]:
    """Of a server with the usual limits."""
    with serve(predictor) as address:
        yield address


def test_raw_and_multipart_pictures_are_answered_as_from_python(
    address: str, predictor: Predictor, pictures: list[Path]
) -> None:
    expected = [predictor.predict(path) for path in pictures]
    one = httpx.post(f"{address}/v1/predict", content=pictures[0].read_bytes(), headers={"content-type": "image/png"})
    assert one.status_code == 200
    assert one.json()["predictions"][0] == {"image": "picture", **json.loads(json.dumps(expected[0].to_json()))}
    many = httpx.post(f"{address}/v1/predict", files=[("images", (path.name, path.read_bytes())) for path in pictures])
    rows = many.json()["predictions"]
    assert [row["image"] for row in rows] == [path.name for path in pictures]
    for row, prediction in zip(rows, expected, strict=True):
        assert row["diagnosis"]["probabilities"] == pytest.approx(prediction["diagnosis"].probabilities, abs=1e-4)
    assert "not a medical device" in many.json()["notice"]


def test_pictures_come_with_the_answer_on_request(address: str, predictor: Predictor, pictures: list[Path]) -> None:
    answer = httpx.post(
        f"{address}/v1/predict?pictures=true", content=pictures[0].read_bytes(), headers={"content-type": "image/png"}
    )
    (row,) = answer.json()["predictions"]
    data = base64.b64decode(row["mask"].removeprefix("data:image/png;base64,"))
    mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    lesion = predictor.predict(read_image(pictures[0])).lesion
    assert lesion is not None
    assert ((mask > 0) == lesion.mask).mean() > 0.999
    assert row["overlay"].startswith("data:image/jpeg;base64,/9j/")


def test_a_broken_picture_among_others_is_a_row_and_alone_is_422(address: str, pictures: list[Path]) -> None:
    files = [("images", ("../../etc/passwd.png", b"no picture")), ("images", ("good.png", pictures[0].read_bytes()))]
    rows = httpx.post(f"{address}/v1/predict", files=files).json()["predictions"]
    assert rows[0] == {
        "image": "passwd.png",
        "error": "passwd.png: not a readable image; send JPEG, PNG, TIFF, BMP, WebP or DICOM of 8 or 16 bits",
    }
    assert "diagnosis" in rows[1]
    alone = httpx.post(f"{address}/v1/predict", content=b"<svg/>", headers={"content-type": "image/jpeg"})
    assert alone.status_code == 422
    assert "not a readable image" in alone.json()["detail"]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"x", None, 415),
        (b"", "image/png", 400),
        (b"x" * (21 * 2**20), "image/png", 413),
    ],
)
def test_what_is_no_request_is_refused(address: str, content: bytes, kind: str | None, status: int) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = httpx.post(f"{address}/v1/predict", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(
    serve: Serve, predictor: Predictor, dataset: Callable[..., FileDataset], tmp_path: Path
) -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    dataset(np.stack([image, image]), "RGB", NumberOfFrames=2).save_as(tmp_path / "two.dcm", enforce_file_format=True)
    png = cv2.imencode(".png", image)[1].tobytes()
    with serve(predictor, limits=Limits(pixels=9_999)) as address:
        headers = {"content-type": "image/png"}
        for data in (png, (tmp_path / "two.dcm").read_bytes()):
            answer = httpx.post(f"{address}/v1/predict", content=data, headers=headers)
            assert answer.status_code == 422
            assert "claims" in answer.json()["detail"]
    with serve(predictor, limits=Limits(pixels=10_000)) as address:
        assert httpx.post(f"{address}/v1/predict", content=png, headers=headers).status_code == 200


def test_a_large_picture_is_answered_in_its_own_pixels(
    address: str, predictor: Predictor, pictures: list[Path]
) -> None:
    large = cv2.resize(read_image(pictures[0]), (1600, 1200))
    data = cv2.imencode(".png", large[..., ::-1])[1].tobytes()
    answer = httpx.post(f"{address}/v1/predict", content=data, headers={"content-type": "image/png"}, timeout=60)
    (row,) = answer.json()["predictions"]
    expected = predictor.predict(large).lesion
    assert expected is not None
    assert (row["width"], row["height"]) == (1600, 1200)
    assert row["lesion"]["box"] == list(expected.box)


def test_bodies_without_a_length_are_limited_too(serve: Serve, predictor: Predictor) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b"x" * 2**16

    with serve(predictor, limits=Limits(body=2**20)) as address:
        headers = {"content-type": "image/png"}
        answer = httpx.post(f"{address}/v1/predict", content=endless(), headers=headers)
        assert answer.status_code == 413
        many = [("images", (f"{number}.png", b"x")) for number in range(20)]
        assert httpx.post(f"{address}/v1/predict", files=many).status_code == 413


def test_a_slow_client_is_let_go(serve: Serve, predictor: Predictor) -> None:
    with serve(predictor, limits=Limits(seconds=0.5)) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(
                b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: 99\r\n\r\nx"
            )
            assert b" 408 " in client.recv(4096).split(b"\r\n")[0] + b" "


def test_a_token_is_asked_for_where_there_is_one(serve: Serve, predictor: Predictor) -> None:
    with serve(predictor, access=Access("secret")) as address:
        assert httpx.get(f"{address}/healthz").status_code == 200
        for headers in ({}, {"authorization": "Bearer wrong"}):
            assert httpx.get(f"{address}/v1/model", headers=headers).status_code == 401
        assert httpx.get(f"{address}/v1/model", headers={"authorization": "Bearer secret"}).status_code == 200


def test_a_full_queue_says_so_and_everyone_else_is_answered(
    serve: Serve, predictor: Predictor, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, sizes = predictor.infer, []

    def watched(prepared: np.ndarray, given: list[selcn.Given]) -> Outputs:
        sizes.append(len(prepared))
        time.sleep(0.1)
        return slow(prepared, given)

    monkeypatch.setattr(predictor, "infer", watched)

    async def ask(address: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=60) as client:
            data, headers = pictures[0].read_bytes(), {"content-type": "image/png"}
            posts = [client.post(f"{address}/v1/predict", content=data, headers=headers) for _ in range(40)]
            return list(await asyncio.gather(*posts))

    with serve(predictor, limits=Limits(waiting=12)) as address:
        answers = asyncio.run(ask(address))
        statuses = {answer.status_code for answer in answers}
        assert statuses == {200, 429}
        assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)
        assert max(sizes) > 1  # concurrent requests share batches
        text = httpx.get(f"{address}/metrics").text
    refused = sum(answer.status_code == 429 for answer in answers)
    assert f'selcn_requests_total{{path="/v1/predict",status="429"}} {refused}.0' in text
    assert "selcn_waiting_pictures 0.0" in text


def test_an_answer_that_takes_too_long_is_given_up(
    serve: Serve, predictor: Predictor, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = predictor.infer

    def slower(prepared: np.ndarray, given: list[selcn.Given]) -> Outputs:
        time.sleep(1)
        return slow(prepared, given)

    headers = {"content-type": "image/png"}
    with serve(predictor, limits=Limits(seconds=0.6)) as address:
        while httpx.get(f"{address}/readyz").status_code != 200:  # the blank image has passed the networks
            time.sleep(0.05)
        with monkeypatch.context() as patched:
            patched.setattr(predictor, "infer", slower)
            late = httpx.post(f"{address}/v1/predict", content=pictures[0].read_bytes(), headers=headers)
            assert late.status_code == 504
            time.sleep(1)
        again = httpx.post(f"{address}/v1/predict", content=pictures[0].read_bytes(), headers=headers)
        assert again.status_code == 200


def test_a_failure_of_the_networks_ends_neither_server_nor_queue(
    serve: Serve, predictor: Predictor, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> Outputs:
        raise RuntimeError("out of memory")

    headers, data = {"content-type": "image/png"}, pictures[0].read_bytes()
    with serve(predictor) as address:
        with monkeypatch.context() as patched:
            patched.setattr(predictor, "infer", fails)
            assert httpx.post(f"{address}/v1/predict", content=data, headers=headers).status_code == 500
        assert httpx.post(f"{address}/v1/predict", content=data, headers=headers).status_code == 200


def conforms(answer: httpx.Response, described: dict[str, Any], model: str) -> Any:
    """The answer, which is one of the described model by the word of another library."""
    validate({**described, "$ref": f"#/components/schemas/{model}"}, answer.raise_for_status().json())
    return answer.json()


@pytest.mark.parametrize("of", ["predictor", "own_predictor"])
def test_answers_conform_to_the_description_of_their_bundle(
    serve: Serve, of: str, pictures: list[Path], request: pytest.FixtureRequest
) -> None:
    predictor: Predictor = request.getfixturevalue(of)
    files = [("images", (path.name, path.read_bytes())) for path in pictures[:2]] + [("images", ("broken", b"x"))]
    with serve(predictor) as address:
        described = httpx.get(f"{address}/openapi.json").json()
        answers = [httpx.post(f"{address}/v1/predict{query}", files=files) for query in ("", "?pictures=true")]
        for answer in answers:
            conforms(answer, described, "Answer")
            answer_model(predictor.config).model_validate_json(answer.content)
    for row in answers[1].json()["predictions"]:
        assert list(flatten(row, predictor.config)) == list(row_fields(predictor.config))
    # Nothing but what is described, and all of that.
    for wrong in ({"more": 1}, {"distance": None}, {predictor.config.target: {"prediction": "x", "probabilities": {}}}):
        tree = answers[0].json()
        tree["predictions"][0] |= wrong
        with pytest.raises(ValidationError):
            validate({**described, "$ref": "#/components/schemas/Answer"}, tree)


def test_own_networks_are_answered_under_their_own_names(
    serve: Serve, own_predictor: Predictor, pictures: list[Path]
) -> None:
    with serve(own_predictor) as address:
        answer = httpx.post(f"{address}/v1/predict?pictures=true", files={"images": pictures[0].read_bytes()}).json()
    (row,) = answer["predictions"]
    assert list(row) == [
        "image",
        "width",
        "height",
        "schema",
        "blue-veil",
        "abstain",
        "warnings",
        "distance",
        "schema_saliency",
        "blue-veil_saliency",
        "overlay",
    ]
    expected = own_predictor.predict(pictures[0])
    for name in ("schema", "blue-veil"):
        assert row[name]["probabilities"] == pytest.approx(expected[name].probabilities, abs=1e-5)


@pytest.mark.parametrize("of", ["predictor", "own_predictor"])
def test_every_answer_names_what_predicted(
    serve: Serve, of: str, pictures: list[Path], request: pytest.FixtureRequest
) -> None:
    predictor: Predictor = request.getfixturevalue(of)
    with serve(predictor) as address:
        described = httpx.get(f"{address}/openapi.json").json()
        predicted = httpx.post(f"{address}/v1/predict", files={"images": pictures[0].read_bytes()}).json()
        model = conforms(httpx.get(f"{address}/v1/model"), described, "ModelAnswer")
    expected = {"name": predictor.name, "hash": predictor.digest, "engine": "torch", "selcn": selcn.__version__}
    assert predicted["model"] == model["model"] == expected
    assert list(model["networks"]) == list(predictor.config.networks)
    for name, labels in ((name, predictor.config.labels(name)) for name in predictor.config.classifiers):
        assert [one["name"] for one in model["networks"][name]["labels"]["classes"]] == labels.names
    assert "not a medical device" in model["notice"]


def test_the_hash_is_that_of_the_manifest(tiny_run: Path, predictor: Predictor) -> None:
    assert predictor.digest == sha256(tiny_run / "bundle" / "manifest.json")


def test_the_interface_describes_itself(address: str) -> None:
    described = httpx.get(f"{address}/openapi.json").json()
    post = described["paths"]["/v1/predict"]["post"]
    assert set(post["requestBody"]["content"]) == {
        "multipart/form-data",
        "image/*",
        "application/dicom",
        "application/octet-stream",
    }
    assert {"200", "413", "415", "422", "429"} <= set(post["responses"])
