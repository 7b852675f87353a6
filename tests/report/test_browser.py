"""The pages in a real browser: nothing said on the console, nothing wider than the screen, tables that sort."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page


def opened(browser: Browser, path: Path, width: int, scheme: str = "light") -> tuple[Page, list[str]]:
    """A page as it is once loaded, and what was said on its console."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
    page.goto(f"file://{path}")
    return page, said


@pytest.mark.parametrize("name", ["tiny", "lesion", "symmetry", "four", "versus"])
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1440, "dark")])
def test_nothing_is_said_and_nothing_overflows(
    browser: Browser, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    page, said = opened(browser, pages[name], width, scheme)
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    page.close()


def test_a_click_or_enter_sorts_a_table(browser: Browser, pages: dict[str, Path]) -> None:
    page, said = opened(browser, pages["tiny"], 1440)
    table = page.locator("table", has_text="Diagnosis (ham10000), test")
    head = table.locator("thead th").first

    def column() -> list[float]:
        return [float(text.split()[0]) for text in table.locator("tbody tr td:nth-child(2)").all_inner_texts()]

    values = column()
    head.click()
    assert column() == sorted(values, reverse=True)
    head.press("Enter")
    assert column() == sorted(values)
    assert head.get_attribute("aria-sort") == "ascending"
    assert said == []
    page.close()


def test_a_table_is_saved_as_csv(browser: Browser, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["lesion"], 1440)
    with page.expect_download() as download:
        page.locator("a[download='jaccard.csv']").click()
    assert download.value.suggested_filename == "jaccard.csv"
    assert download.value.path().read_text().startswith("image_id,fold,jaccard\n")
    page.close()
