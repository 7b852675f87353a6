"""The page for a person, in a real browser: by keyboard, on a phone, with nothing asked of elsewhere or left behind."""

import base64
import contextlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Error, Page, Route, expect

from selcn.data.imaging.read import read_image
from selcn.inference.predictor import Predictor
from selcn.inference.reliability import ImageReliability, NetworkReliability, Reliability, SetThresholds
from selcn.serving.about import model_facts
from selcn.serving.access import Access
from selcn.serving.answer import show_answer
from selcn.serving.schema import Identity
from selcn.serving.service import PredictedUpload
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
    expect(page.locator("article.answer")).to_be_in_viewport()
    for folded in page.locator("details summary").all():
        folded.click()
    with page.expect_download() as waiting:
        page.get_by_text("Download as JSON").click()
    waiting.value.save_as(tmp_path / "answer.json")
    headers = {"content-type": "image/png"}
    answer = httpx.post(f"{address}/v1/predict", content=pictures[0].read_bytes(), headers=headers).json()
    downloaded = json.loads((tmp_path / "answer.json").read_text())
    assert downloaded["predictions"] == [{**answer["predictions"][0], "image": pictures[0].name}]
    assert downloaded["model"] == answer["model"]
    assert {row["fold_part"] for row in downloaded["test_metrics"]} == {"test"}
    expect(page.locator(".model")).to_contain_text("phantom: 96 images (synthetic, drawn by selcn)")
    expect(page.locator(".model tr", has_text="balanced accuracy").first).to_contain_text(" to ")
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
        assert page.locator(".bars caption").all_inner_texts() == [
            "Blue-veil, not calibrated",
            "Schema, not calibrated",
        ]
        assert page.locator(".bars").last.locator("th").all_inner_texts() == ["none", "some <b>streaks</b>", "many"]
        assert page.locator(".layered svg").count() == 0
        assert said == []
        page.close()


def test_the_prediction_set_is_shown_where_the_bundle_has_one(own_predictor: Predictor, pictures: list[Path]) -> None:
    image, predicted = read_image(pictures[0]), own_predictor.predict(pictures[0])
    sets = SetThresholds(coverage=0.9, lowest={"absent": 0.2, "present": 0.3})
    measured = NetworkReliability(temperature=1, abstain_below=0, coverage=1, distance=1, components=(), sets=sets)
    usual = ImageReliability(sharpness=0, brightness=(0, 1))
    reliability = Reliability(image=usual, networks={"blue-veil": measured})
    config = own_predictor.config.model_copy(update={"reliability": reliability})
    facts = model_facts(own_predictor, Identity(name="own", hash="0" * 16, engine="torch", selcn="1.2.3"))
    predicted = replace(predicted, abstain=False, warnings=())
    for classes, said in ((("absent", "present"), "absent, present."), ((), "empty.")):
        page = show_answer(PredictedUpload("a.png", [image], [replace(predicted, set=classes)]), config, facts)
        assert f"set of the blue-veil, which holds the truth for 90 % of the images of each class: {said}" in page
    for other in (config, own_predictor.config):
        assert "Prediction set" not in show_answer(PredictedUpload("a.png", [image], [predicted]), other, facts)


def test_a_sample_is_picked_and_the_saliency_dimmed_by_keyboard_alone(browser: Browser, address: str) -> None:
    page, _ = opened(browser, address)
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.sample") == "5":
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


CALL = "**/gradio_api/component_server/"


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (None, "", "The server cannot be reached"),
        (200, "<html>", "The answer cannot be read"),
        (200, "null", "The answer cannot be read"),
        (413, "", "too large for the server"),
        (401, "", "log in again"),
        (500, "Internal Server Error", "The server failed on this picture"),
        (502, "", "status 502"),
        (418, "", "status 418"),
    ],
)
def test_every_failure_of_a_call_has_a_sentence_and_can_be_tried_again(
    browser: Browser, address: str, status: int | None, body: str, why: str
) -> None:
    page, _ = opened(browser, address)
    page.route(CALL, lambda route: route.abort() if status is None else route.fulfill(status=status, body=body))
    page.locator(".samples button").first.click()
    expect(page.get_by_role("alert")).to_contain_text(why)
    assert "undefined" not in page.locator("body").inner_text()
    page.unroute(CALL)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("article.answer")).to_have_count(1)
    page.close()


def test_an_answer_to_an_earlier_picture_is_dropped(browser: Browser, address: str) -> None:
    page, _ = opened(browser, address)
    held: list[Route] = []
    page.route(CALL, lambda route: route.continue_() if held else held.append(route))
    page.locator(".samples button").first.click()
    expect(page.locator(".work [role=status]")).to_contain_text("Predicting melanoma, ISIC_0000166")
    page.locator(".samples button").nth(5).click()
    expect(page.locator("article.answer")).to_contain_text("synthetic melanoma")
    with contextlib.suppress(Error):  # the browser has given the request up
        held[0].fulfill(json="<article class='answer'>late</article>")
    page.wait_for_timeout(200)
    expect(page.locator("article.answer")).to_contain_text("synthetic melanoma")
    expect(page.locator(".list")).to_be_hidden()
    page.close()


def test_several_pictures_make_a_list_and_keep_what_was_set(
    browser: Browser, address: str, pictures: list[Path], tmp_path: Path
) -> None:
    page, said = opened(browser, address)
    (tmp_path / "broken.png").write_bytes(b"x")
    page.locator("input[type=file]").set_input_files([pictures[0], tmp_path / "broken.png", pictures[1]])
    expect(page.locator(".work [role=status]")).to_have_text("3 of 3 pictures answered.", timeout=30_000)
    entries = page.locator(".list li button")
    assert entries.all_inner_texts() == [pictures[0].name, "broken.png", pictures[1].name]
    expect(page.locator("article.answer")).to_contain_text(pictures[0].name)
    page.locator(".strength input").focus()
    page.keyboard.press("Home")
    page.get_by_label("own grid").check()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("alert")).to_contain_text("not a readable image")
    page.get_by_role("button", name="Next").click()
    expect(page.locator("article.answer")).to_contain_text(pictures[1].name)
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    expect(page.locator(".strength input")).to_have_value("0")
    expect(page.locator(".cells").first).to_have_css("opacity", "0")
    expect(page.locator(".cells").first).to_have_css("image-rendering", "pixelated")
    expect(page.locator(".smooth").first).to_be_hidden()
    entries.first.click()
    expect(entries.first).to_have_attribute("aria-current", "true")
    expect(page.locator("article.answer")).to_contain_text(pictures[0].name)
    page.emulate_media(media="print")
    for hidden in (".given", ".list", ".controls", ".downloads"):
        expect(page.locator(hidden)).to_be_hidden()
    expect(page.locator("article.answer")).to_be_visible()
    assert said == []
    page.close()


def test_work_shows_how_far_it_is_and_can_be_stopped(browser: Browser, address: str, pictures: list[Path]) -> None:
    page, _ = opened(browser, address)
    calls: list[Route] = []

    def hold_the_second(route: Route) -> None:
        calls.append(route)
        if len(calls) == 1:
            route.continue_()

    page.route(CALL, hold_the_second)
    page.locator("input[type=file]").set_input_files(pictures[:3])
    expect(page.locator(".work [role=status]")).to_contain_text(
        f"Predicting {pictures[1].name} (2 of 3)", timeout=30_000
    )
    expect(page.locator(".seconds")).to_have_text(re.compile(r"[1-9]\d* s"))
    expect(page.locator("progress")).to_have_js_property("value", 1 / 3)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".work [role=status]")).to_have_text("1 of 3 pictures answered.")
    expect(page.locator(".stop")).to_be_hidden()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("alert")).to_contain_text(f"Stopped; nothing was predicted for {pictures[1].name}.")
    assert len(calls) == 2
    page.close()


def test_a_picture_is_enlarged_and_compared_by_keyboard_pointer_and_touch(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(f"{address}/")
    page.locator(".samples button").first.click()
    page.locator("article.answer").wait_for()
    outlined, width = page.locator(".answer svg").first, "() => document.querySelector('.pane .stack').clientWidth"
    plain = page.locator(".controls").get_by_label("Plain picture")
    plain.check()
    expect(outlined).to_be_hidden()
    expect(page.locator(".saliency").first).to_be_hidden()
    plain.uncheck()
    expect(outlined).to_be_visible()
    enlarge = page.get_by_role("button", name="Enlarge").first
    enlarge.focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog")).to_contain_text("Outline of the lesion")
    whole = page.evaluate(width)
    assert 300 < whole <= 390
    page.keyboard.press("+")
    assert page.evaluate(width) == pytest.approx(1.5 * whole, abs=1)
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.pane').scrollLeft > whole / 4".replace("whole", str(whole)))
    page.keyboard.press("0")
    assert page.evaluate(width) == whole
    expect(page.get_by_role("button", name="Smaller")).to_be_disabled()
    page.get_by_role("button", name="Larger").tap()
    box = page.locator(".pane").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.wheel(0, -200)
    page.wait_for_function(f"({width})() > {2.4 * whole}")
    client = context.new_cdp_session(page)
    for kind, apart in (("touchStart", 100), ("touchMove", 50), ("touchEnd", None)):
        y = box["y"] + 150
        fingers = [] if apart is None else [{"x": 150, "y": y, "id": 0}, {"x": 150 + apart, "y": y, "id": 1}]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    page.wait_for_function(f"({width})() < {1.3 * whole}")
    page.locator("dialog").get_by_label("Plain picture").check()
    expect(page.locator("dialog svg")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()
    expect(enlarge).to_be_focused()
    expect(plain).to_be_checked()
    context.close()


def test_focus_is_seen_images_are_described_and_bars_stay_in_forced_colours(browser: Browser, address: str) -> None:
    page, _ = opened(browser, address)
    page.emulate_media(forced_colors="active")
    page.locator(".samples button").first.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    page.keyboard.press("Enter")
    page.locator("article.answer").wait_for()
    alts = page.locator(".answer .stack img:not(.saliency)").evaluate_all("images => images.map(image => image.alt)")
    assert len(alts) == len(set(alts)) == 3
    assert all(alts)
    for folded in page.locator("details:not([open]) summary").all():
        folded.click()
    colours = "bar => [bar, bar.parentElement].map((one) => getComputedStyle(one).backgroundColor)"
    bar, behind = page.locator(".bars .bar span").first.evaluate(colours)
    assert bar != behind
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
