"""Given results over a real connection: answered as from Python, and refused in one line where they are wrong."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from selcn.data.imaging.read import read_image
from selcn.inference.given import Given
from selcn.inference.predictor import Predictor


@pytest.fixture(scope="module")
def address(serve: Callable[..., AbstractContextManager[str]], predictor: Predictor) -> Iterator[str]:
    """Of a server with the usual limits."""
    with serve(predictor) as address:
        yield address


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def ask(address: str, pictures: list[Path], given: object, **parts: bytes) -> httpx.Response:
    files = [("images", (path.name, path.read_bytes())) for path in pictures]
    files += [(name, (f"{name}.png", data)) for name, data in parts.items()]
    text = given if isinstance(given, str) else json.dumps(given)
    return httpx.post(f"{address}/v1/predict", data={"given": text}, files=files, timeout=60)


def same(row: dict[str, Any], expected: dict[str, Any]) -> bool:
    told = row.get("given"), row["lesion"]["box"], row["symmetry"]["prediction"]
    wanted = expected.get("given"), expected["lesion"]["box"], expected["symmetry"]["prediction"]
    maps = np.abs(np.subtract(row["symmetry_saliency"], expected["symmetry_saliency"])).max() < 2e-3
    said, known = (list(one["diagnosis"]["probabilities"].values()) for one in (row, expected))
    return told == wanted and bool(maps) and np.allclose(said, known, atol=1e-4)


def test_what_is_given_of_some_images_is_answered_as_from_python(
    address: str, predictor: Predictor, pictures: list[Path]
) -> None:
    first, second, third = pictures[:3]
    height, width = read_image(first).shape[:2]
    mask = np.zeros((height, width), np.uint8)
    mask[5:20, 10:40] = 255
    gradient = np.tile(np.arange(0, 256, 17, dtype=np.uint8), (4, 1))
    uri = f"data:image/png;base64,{base64.b64encode(png(mask)).decode()}"
    answer = ask(
        address,
        [first, second, third],
        {
            first.name: {"mask": "outline", "symmetry": "asymmetric"},
            third.name: {"mask": uri, "symmetry_saliency": "heat"},
        },
        outline=png(mask),
        heat=png(gradient),
    )
    rows = answer.raise_for_status().json()["predictions"]
    given = [Given(mask, {"symmetry": "asymmetric"}), Given(), Given(mask, saliency={"symmetry": gradient / 255})]
    assert [row["image"] for row in rows] == [path.name for path in pictures[:3]]
    for path, row, one in zip(pictures, rows, given, strict=False):
        assert same(row, predictor.predict(path, one).to_json())
    # A map as an answer holds it, and the text as a file, as curl sends it with an at sign.
    told = {second.name: {"symmetry_saliency": rows[0]["symmetry_saliency"]}}
    files = [("images", (second.name, second.read_bytes())), ("given", ("given.json", json.dumps(told).encode()))]
    (row,) = httpx.post(f"{address}/v1/predict", files=files).raise_for_status().json()["predictions"]
    assert np.allclose(row["symmetry_saliency"], rows[0]["symmetry_saliency"], atol=2e-3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{", "given: is not JSON"),
        ("[" * 100_000, "given: is not JSON"),
        ("[1]", "given: holds no results by upload name"),
        ({"NAME": 1}, "given: holds no results by upload name"),
        ({"b.png": {}}, "given: 0 images are called b.png"),
        ({"NAME": {"streaks": "present"}}, "unknown key streaks; write mask, symmetry, diagnosis, symmetry_saliency"),
        ({"NAME": {"symmetry": 1}}, "symmetry is no text"),
        ({"NAME": {"symmetry": "odd"}}, "given symmetry: 'odd' is no class; it knows asymmetric, symmetric"),
        ({"NAME": {"mask": "absent"}}, "names the part 'absent', which the request does not have"),
        ({"NAME": {"mask": "data:image/png;base64,???"}}, "no data URI in base64"),
        ({"NAME": {"mask": "small"}}, "given mask: is 5x4, its image 64x48"),
        ({"NAME": {"mask": "broken"}}, "given mask: not a readable image"),
        ({"NAME": {"symmetry_saliency": "broken"}}, "given symmetry_saliency: not a readable image"),
        ({"NAME": {"symmetry_saliency": [[0, 3]]}}, "given symmetry_saliency: no map of values from 0 to 1"),
        ({"NAME": {"symmetry_saliency": [[0, 1], [0]]}}, "given symmetry_saliency: no map"),
        ({"NAME": {"symmetry_saliency": [{}]}}, "given symmetry_saliency: no map"),
    ],
)
def test_wrong_results_refuse_the_request_in_one_line(
    address: str, pictures: list[Path], given: object, said: str
) -> None:
    text = given if isinstance(given, str) else json.dumps(given).replace("NAME", pictures[0].name)
    parts = {"small": png(np.zeros((4, 5), np.uint8)), "broken": b"x"}
    answer = ask(address, pictures[:1], text, **{name: data for name, data in parts.items() if f'"{name}"' in text})
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


def test_two_images_of_one_name_are_told_apart_before_results_are_given(address: str, pictures: list[Path]) -> None:
    name = pictures[0].name
    answer = ask(address, [pictures[0], pictures[0]], {name: {"symmetry": "symmetric"}})
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        f"given: 2 images are called {name}; name each image apart",
    )


def test_the_description_names_the_bundle_s_networks_and_classes(address: str) -> None:
    body = httpx.get(f"{address}/openapi.json").json()["paths"]["/v1/predict"]["post"]["requestBody"]
    given = body["content"]["multipart/form-data"]["schema"]["properties"]["given"]["additionalProperties"][
        "properties"
    ]
    assert list(given) == ["mask", "symmetry", "diagnosis", "symmetry_saliency", "diagnosis_saliency"]
    assert given["symmetry"]["enum"] == ["asymmetric", "symmetric"]
