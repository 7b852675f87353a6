"""The page for a person, in a real browser: by keyboard, on a phone, with nothing asked of elsewhere or left behind."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from selcn.inference.predictor import Predictor
from selcn.serving.access import Access
from selcn.serving.uploads import Limits, draw_samples, read_samples

Serve = Callable[..., AbstractContextManager[str]]
WIDTHS = (390, 1440)


@pytest.fixture(scope="module")
def address(serve: Serve, predictor: Predictor) -> Iterator[str]:
    """Of a server with the page and drawn samples."""
    with serve(predictor, samples=draw_samples()) as address:
        yield address


def opened(browser: Browser, address: str, width: int = 1440) -> tuple[Page, list[str]]:
    """The page once it is there, and all that was complained of or asked of elsewhere."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith((address, "data:")) else said.append(request.url))
    page.goto(f"{address}/")
    page.get_by_text("Drop a picture, or pick a sample.").wait_for()
    return page, said


@pytest.mark.parametrize("width", WIDTHS)
def test_a_picture_that_is_dropped_is_answered_as_over_the_interface(
    browser: Browser, address: str, pictures: list[Path], width: int, tmp_path: Path
) -> None:
    page, said = opened(browser, address, width)
    page.locator("input[type=file]").set_input_files(pictures[0])
    page.locator("article.answer").wait_for()
    with page.expect_download() as waiting:
        page.get_by_text("Download as JSON").click()
    waiting.value.save_as(tmp_path / "answer.json")
    headers = {"content-type": "image/png"}
    answer = httpx.post(f"{address}/v1/predict", content=pictures[0].read_bytes(), headers=headers).json()
    expected = {**answer["predictions"][0], "image": pictures[0].name}
    assert json.loads((tmp_path / "answer.json").read_text()) == expected
    assert waiting.value.suggested_filename == f"{pictures[0].stem}.json"
    assert page.locator(".bars").first.locator("tr").count() == 7
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert said == []
    page.close()


def test_own_networks_have_a_panel_and_a_table_each(
    browser: Browser, serve: Serve, own_predictor: Predictor, pictures: list[Path]
) -> None:
    with serve(own_predictor, samples=read_samples(pictures[0].parent)) as address:
        page, said = opened(browser, address)
        page.locator(".samples button").first.click()
        page.locator("article.answer").wait_for()
        captions = page.locator(".layered figcaption").all_inner_texts()
        assert captions[0] == "The picture"
        assert [caption.partition(":")[0] for caption in captions[1:]] == [
            "Saliency of the schema",
            "Saliency of the blue-veil",
        ]
        assert page.locator(".bars caption").all_inner_texts() == ["Blue-veil, not calibrated", "Schema"]
        assert page.locator(".bars").last.locator("th").all_inner_texts() == ["none", "some <b>streaks</b>", "many"]
        assert page.locator(".layered svg").count() == 0
        assert said == []
        page.close()


def test_a_sample_is_picked_and_the_saliency_dimmed_by_keyboard_alone(browser: Browser, address: str) -> None:
    page, _ = opened(browser, address)
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.sample") == "1":
            break
    page.keyboard.press("Enter")
    expect(page.locator("article.answer")).to_contain_text("synthetic melanoma")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "range":
            break
    saliency = page.locator(".saliency").first
    expect(saliency).to_have_css("opacity", "0.75")
    page.keyboard.press("Home")
    expect(saliency).to_have_css("opacity", "0")
    page.close()


def test_a_picture_is_dropped_with_the_mouse(browser: Browser, address: str, pictures: list[Path]) -> None:
    page, _ = opened(browser, address)
    content = base64.b64encode(pictures[0].read_bytes()).decode()
    dropped = page.evaluate_handle(
        """content => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const dropped = new DataTransfer();
            dropped.items.add(new File([bytes], "dropped.png"));
            return dropped;
        }""",
        content,
    )
    page.dispatch_event(".drop", "drop", {"dataTransfer": dropped})
    expect(page.locator("article.answer")).to_contain_text("dropped.png")
    page.close()


@pytest.mark.parametrize(
    ("content", "why"), [(b"<svg onload=alert(1)>", "not a readable image"), (bytes(16 * 2**20), "too large")]
)
def test_what_is_no_picture_is_told(browser: Browser, address: str, content: bytes, why: str, tmp_path: Path) -> None:
    page, said = opened(browser, address)
    bad = tmp_path / "<img src=x onerror=alert(1)>.jpg"
    bad.write_bytes(content)
    page.locator("input[type=file]").set_input_files(bad)
    expect(page.get_by_role("alert")).to_contain_text(why)
    expect(page.locator("article.answer")).to_have_count(0)
    expect(page.locator(".shown img")).to_have_count(0)
    assert said == []
    page.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/upload"),
        ("POST", "/gradio_api/queue/join"),
        ("POST", "/gradio_api/call/answer"),
        ("GET", "/gradio_api/file=/etc/passwd"),
        ("GET", "/gradio_api/proxy=http://127.0.0.1/"),
        ("GET", "/monitoring"),
    ],
)
def test_what_the_framework_offers_besides_is_closed(address: str, method: str, path: str) -> None:
    assert httpx.request(method, f"{address}{path}", json={}).status_code == 404


FILE = {"path": "/etc/passwd", "url": "http://127.0.0.1/", "meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize(
    "asked", [FILE, {"name": "x", "data": FILE}, {"name": "x", "data": "%"}, {"sample": 99}, {"sample": -1}, None, "x"]
)
def test_no_call_reads_a_file_or_an_address(address: str, asked: object) -> None:
    (html,) = [one for one in httpx.get(f"{address}/config").json()["components"] if one["type"] == "html"]
    call = {"data": asked, "component_id": html["id"], "fn_name": "answer", "session_hash": "s"}
    answer = httpx.post(f"{address}/gradio_api/component_server", json=call)
    assert "no picture came" in answer.json()
    form = httpx.post(f"{address}/gradio_api/component_server", data={**call, "data": "1"}, files={"x": b"x"})
    assert form.status_code == 404


def test_a_server_that_is_full_says_so_on_the_page(
    browser: Browser, serve: Serve, predictor: Predictor, pictures: list[Path]
) -> None:
    with serve(predictor, limits=Limits(waiting=0), samples=read_samples(pictures[0].parent)) as address:
        page, _ = opened(browser, address)
        samples = page.locator(".samples button")
        expect(samples).to_have_count(8)
        samples.first.click()
        expect(page.get_by_role("alert")).to_contain_text("too many pictures are waiting")
        page.close()


def test_the_page_asks_for_the_token_where_there_is_one(
    browser: Browser, serve: Serve, predictor: Predictor, pictures: list[Path]
) -> None:
    with serve(predictor, access=Access("secret"), samples=read_samples(pictures[0].parent)) as address:
        page = browser.new_page()
        page.goto(f"{address}/")
        page.get_by_label("username").fill("selcn")
        page.get_by_label("password").fill("secret")
        page.get_by_role("button", name="Login").click()
        page.get_by_text("Drop a picture, or pick a sample.").wait_for()
        refused = httpx.post(f"{address}/gradio_api/component_server", json={"data": {"sample": 0}})
        assert refused.status_code == 401
        page.close()
