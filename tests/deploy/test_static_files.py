"""Static files that were collected: small, kept for good, and never those of another deploy."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from natproject.settings.static_files import are_collected
from tests.support.browser import OpenPage
from tests.support.processes.command import run
from tests.support.server import Server

FIRST_PAINT = 40 * 1024
# Modules that are loaded when somebody first uses them, and never by the page itself.
WHEN_USED = {
    "chat_app/js/answering.js",
    "chat_app/js/editing.js",
    "chat_app/js/elements/feedback.js",
    "chat_app/js/elements/files.js",
    "chat_app/js/elements/formcard.js",
    "chat_app/js/transcript/copying.js",
    "chat_app/js/transcript/earlier.js",
}
HASHED = re.compile(r"/static/.+\.[0-9a-f]{12}\.\w+$")


@pytest.fixture
def collected(server: Server) -> Server:
    """Return a server whose static files are collected; those of others take longer."""
    answer = run(
        *("manage.py", "collectstatic", "--noinput", "-i", "admin", "-i", "ninja"),
        env=server.environment,
    )
    assert answer.returncode == 0, answer.stderr
    server.restart()
    return server


@pytest.fixture
def traffic(collected: Server, open_page: OpenPage) -> tuple[Page, list[Any], list[int]]:
    """Return a page, the responses that it gets, and the bytes on the wire of each."""
    page = open_page(None)
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    responses: list[Any] = []
    sizes: list[int] = []
    session.on("Network.responseReceived", lambda event: responses.append(event["response"]))
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    return page, responses, sizes


def load(page: Page) -> None:
    page.goto("/c/")
    expect(page.locator("#connection")).to_have_attribute("data-state", "connected")


def test_a_first_visit_is_small_and_a_second_asks_for_no_file(
    traffic: tuple[Page, list[Any], list[int]],
) -> None:
    page, responses, sizes = traffic
    load(page)
    # Without the headers, which not each version of the browser counts.
    bodies = [int(one["headers"]["Content-Length"]) for one in responses]
    assert sum(bodies) < FIRST_PAINT, (sum(bodies), *bodies)
    files = [one for one in responses if "/static/" in one["url"]]
    assert not [one for one in files if any(Path(name).stem in one["url"] for name in WHEN_USED)]
    assert len(files) > 10
    for file in files:
        headers = {name.lower(): value for name, value in file["headers"].items()}
        assert HASHED.search(file["url"]), file["url"]
        assert "immutable" in headers["cache-control"]
        assert headers.get("content-encoding") in ("br", "gzip"), file["url"]
    sizes.clear()
    page.reload()
    expect(page.locator("#connection")).to_have_attribute("data-state", "connected")
    # From the cache nothing comes over the wire; the page itself does, and what it asks for.
    assert len([size for size in sizes if size]) <= 3, sizes


def test_each_module_is_loaded_beside_the_first_and_not_after_it(server: Server) -> None:
    html = server.get("/c/x/", user="ann").text
    preloaded = set(re.findall(r'rel="modulepreload" href="/static/([^"]+)"', html))
    modules = {str(path.relative_to("static")) for path in Path("static/chat_app/js").rglob("*.js")}
    assert preloaded == modules - {"chat_app/js/chat.js"} - WHEN_USED


def test_files_of_the_deploy_before_are_not_served(tmp_path: Path) -> None:
    collected, sources = tmp_path / "collected", tmp_path / "static"
    collected.mkdir()
    (sources / "js").mkdir(parents=True)
    script = sources / "js" / "chat.js"
    script.touch()
    assert not are_collected(collected, sources)
    manifest = collected / "staticfiles.json"
    manifest.touch()
    now = manifest.stat().st_mtime
    for path in (sources, sources / "js", script):
        os.utime(path, (now - 10, now - 10))
    assert are_collected(collected, sources)
    os.utime(script, (now + 10, now + 10))
    assert not are_collected(collected, sources)
