"""The page of examples/browser: without a server it predicts in Chromium what Python predicts."""

import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

import selcn
from selcn.data.imaging.masks import grown_boxes, without_islands
from selcn.data.imaging.prepare import resize
from selcn.errors import ConfigError
from selcn.inference.assembly import read_bundle, write_bundle
from selcn.inference.bundle import Preparation
from selcn.inference.onnx.export import export_bundle
from selcn.inference.reliability import brightness, sharpness

EXAMPLE = Path(__file__).parent.parent / "examples" / "browser"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the example with onnxruntime-web, as `npm install` leaves it."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm here, which fetches onnxruntime-web")
    copied = tmp_path_factory.mktemp("example") / "browser"
    shutil.copytree(EXAMPLE, copied)
    if not (copied / "node_modules" / "onnxruntime-web").is_dir():
        subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund"], cwd=copied, check=True)
    return copied


@pytest.fixture(scope="module")
def bundle(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export in two graphs: symmetry sees the lesion's box, which is computed between them."""
    config, ensemble = read_bundle(tiny_run / "bundle")
    changed: dict[str, dict[str, Any]] = {"symmetry": {"masking": "lae"}, "lesion": {"largest_region": True}}
    networks = {name: spec.model_copy(update=changed.get(name, {})) for name, spec in config.networks.items()}
    prepare = Preparation(size=config.prepare.size, hair=False)
    folder = tmp_path_factory.mktemp("lae") / "bundle"
    folder.mkdir()
    write_bundle(folder, config.model_copy(update={"networks": networks, "prepare": prepare}), ensemble)
    export_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def page(browser: Browser, example: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page, once its networks are there."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    runpy.run_path(str(example / "build.py"))["build"](bundle, path)
    page = browser.new_page(viewport={"width": 390, "height": 900})
    said: list[str] = []
    page.said = said  # type: ignore[attr-defined]
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda one: said.append(one.url) if one.url.startswith("http") else None)
    page.goto(f"file://{path}")
    page.get_by_text("Ready.").wait_for(timeout=120_000)
    yield page
    page.close()


def test_the_page_predicts_what_python_predicts(page: Page, bundle: Path, tiny_run: Path) -> None:
    predictor = selcn.load(bundle)
    asked = (
        "selcn.predict(document.querySelector('input').files[0]).then(({networks, abstain, warnings, distance}) => "
        "({abstain, warnings, distance, ...Object.fromEntries(Object.entries(networks)"
        ".map(([name, one]) => [name, one.probabilities]))}))"
    )
    for path in sorted((tiny_run / "data" / "phantom" / "images").iterdir())[:3]:
        page.locator("input").set_input_files(path)
        found: dict[str, Any] = page.evaluate(asked)
        expected = predictor.predict(path)
        for name in ("symmetry", "diagnosis"):
            assert found[name] == pytest.approx(expected[name].probabilities, abs=1e-4)
        assert (found["abstain"], tuple(found["warnings"])) == (expected.abstain, expected.warnings)
        assert found["distance"] == pytest.approx(expected.distance, rel=1e-3)
        assert f"diagnosis: {expected['diagnosis'].prediction}" in page.locator("main").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.said == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("size", "allowed"),
    [((150, 200), 0), ((101, 133), 0), ((96, 128), 0), ((144, 192), 0), ((40, 50), 1)],
)
def test_an_image_is_resized_and_looked_at_as_in_python(page: Page, size: tuple[int, int], allowed: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = resize(image, (64, 48))
    values = np.dstack([image, np.full(size, 255, np.uint8)]).ravel().tolist()
    asked = "([data, width, height]) => Array.from(selcn.resize({data: Uint8Array.from(data), width, height}, 64, 48))"
    found = np.array(page.evaluate(asked, [values, size[1], size[0]])).reshape(48, 64, 3)
    assert np.abs(found - expected.astype(int)).max() <= allowed
    look = page.evaluate("(data) => selcn.lookOf(Uint8Array.from(data), 64, 48)", expected.ravel().tolist())
    assert (look["sharpness"], look["brightness"]) == pytest.approx((sharpness(expected), brightness(expected)))


def test_boxes_are_those_of_python(page: Page) -> None:
    rng = np.random.default_rng(0)
    masks = [rng.random((24, 32)) < share for share in (0.0, 0.01, 0.1, 0.3, 0.35, 0.4, 0.6)]
    for mask in masks:
        found = page.evaluate("(mask) => selcn.grownBox(mask, 32, 24)", mask.ravel().astype(int).tolist())
        assert found == grown_boxes(mask[None])[0].tolist()


def test_islands_are_those_of_python(page: Page) -> None:
    rng = np.random.default_rng(1)
    for low, high in ((0, 0.4), (0, 0.6), (0, 1), (0.3, 1)):
        lesion = rng.uniform(low, high, (24, 32)).astype(np.float32)
        found = page.evaluate("(lesion) => selcn.withoutIslands(lesion, 32, 24)", lesion.ravel().tolist())
        assert np.allclose(found, without_islands(lesion[None])[0].ravel())


def test_what_the_page_cannot_do_is_refused(tiny_run: Path) -> None:
    config, _ = read_bundle(tiny_run / "bundle")
    script = runpy.run_path(str(EXAMPLE / "build.py"))
    with pytest.raises(ConfigError, match=r"prepare\.hair"):
        script["describe"](config.model_copy(update={"prepare": Preparation(size=(64, 48), hair=True)}), [])
