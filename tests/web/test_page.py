"""The page in a real browser: a query is typed, and the right photo is seen."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmx.core.home import Home
from tests.web.served_photos import serve_photos

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
web = pytest.importorskip("mmx.web.app", reason="the extra serve is not installed", exc_type=ImportError)
uvicorn = pytest.importorskip("uvicorn", reason="the extra serve is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright, which drives chromium, is absent")
if CHROMIUM is None:
    pytest.skip("there is no chromium here", allow_module_level=True)


@pytest.fixture
def address(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    app = web.make_app(serve_photos(tmp_path, home, monkeypatch), None)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@pytest.fixture
def page() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page()
        faults: list[str] = []
        opened.on("pageerror", lambda error: faults.append(str(error)))
        opened.on(
            "console", lambda line: faults.append(line.text) if "Content Security" in line.text else None
        )
        yield opened
        browser.close()
        assert faults == []


MIDDLE = """image => { const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0); return [...pen.getImageData(9, 9, 1, 1).data].slice(0, 3); }"""


def test_a_query_is_typed_filtered_and_followed(page: Any, address: str) -> None:
    page.goto(address)
    page.locator("#about", has_text="4 pictures of photos, by stub").wait_for()
    page.keyboard.type("a blue one")
    page.keyboard.press("Enter")
    first = page.locator(".hit img").first
    first.evaluate("image => image.decode()")
    red, green, blue = first.evaluate(MIDDLE)
    assert blue > 200 and red < 60 and green < 60
    assert "query=a+blue+one" in page.url
    assert page.locator(".hit").count() == 4

    page.click("summary")
    page.fill("#where", "name < 'c'")
    page.click("button[type=submit]")
    page.locator("#said", has_text="1 of 1 images").wait_for()
    page.fill("#where", "nope")
    page.click("button[type=submit]")
    page.locator("#said.fault", has_text="columns: id, folder").wait_for()
    assert page.locator(".hit").count() == 0

    page.goto(f"{address}?query=red&top=2")
    page.locator(".hit").nth(1).wait_for()
    page.locator(".hit").nth(1).click()
    assert page.locator("#closer-name").inner_text().startswith("blue.png")
    page.click("#like")
    page.locator("#sent").wait_for()
    page.locator("li:first-child .hit[title='blue.png']").wait_for()
