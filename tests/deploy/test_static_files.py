"""Static files that were collected: small, kept for good, and never those of another deploy."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from playwright.sync_api import Page, expect

from chat_app.checks import check_modules
from natproject.settings.static_files import are_collected
from tests.http.client import Http
from tests.support.browser import OpenPage
from tests.support.polling import until
from tests.support.processes.command import run
from tests.support.server import Server

# Bytes on the wire of a conversation's page, headers and all.
FIRST_PAINT = 42 * 1024
SECOND_PAINT = 7.5 * 1024
# Modules that are loaded when somebody first uses them, and never by the page itself.
WHEN_USED = {
    "chat_app/js/answering.js",
    "chat_app/js/docking.js",
    "chat_app/js/elements/feedback.js",
    "chat_app/js/elements/files.js",
    "chat_app/js/elements/formcard.js",
    "chat_app/js/elements/promptcard.js",
    "chat_app/js/zones.js",
    "chat_app/js/elements/rows.js",
    "chat_app/js/transcript/copying.js",
    "chat_app/js/transcript/earlier.js",
    "chat_app/js/transcript/shelves.js",
}
IMPORT = re.compile(r"""(?:from|import)\s*\(?\s*["'](\.[^"']+)""")
HASHED = re.compile(r"/static/.+\.[0-9a-f]{12}\.\w+$")


@pytest.fixture
def collected(server: Server) -> Server:
    """Return a server whose static files are collected; those of others take longer."""
    answer = run(
        *("manage.py", "collect_changed", "--noinput", "-i", "admin", "-i", "ninja"),
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


def load(page: Page, path: str = "/c/") -> None:
    page.goto(path)
    expect(page.locator("#connection")).to_have_attribute("data-state", "connected")


def hold_conversation(server: Server) -> None:
    """Have ann hold a conversation, with a table in the answer, and wait for its end."""
    message = {"text": "200 a month at 3.5 % for 2 years", "workflow": "report"}
    assert Http(server).form("/c/kept/messages/", message).status == 303
    completed = "SELECT id FROM sessions_app_run WHERE status = 'completed'"
    until(lambda: server.rows(completed))


@pytest.mark.slow
def test_files_are_kept_for_good_and_loaded_when_they_are_used(
    traffic: tuple[Page, list[Any], list[int]],
) -> None:
    page, responses, sizes = traffic
    load(page)
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


@pytest.mark.slow
def test_a_conversation_is_small_at_first_and_smaller_later(
    collected: Server, traffic: tuple[Page, list[Any], list[int]]
) -> None:
    page, _, sizes = traffic
    hold_conversation(collected)
    load(page, "/c/kept/")
    expect(page.locator("#items table").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert sum(sizes) < FIRST_PAINT, (sum(sizes), sizes)
    sizes.clear()
    page.reload()
    expect(page.locator("#connection")).to_have_attribute("data-state", "connected")
    page.wait_for_load_state("networkidle")
    assert sum(sizes) < SECOND_PAINT, (sum(sizes), sizes)


def test_make_run_collects_what_has_changed() -> None:
    plan = subprocess.run(
        ["make", "--dry-run", "--always-make", "run"], capture_output=True, text=True, check=True
    ).stdout
    assert plan.index("collect_changed") < plan.index("manage.py serve")


class Hashed(ManifestStaticFilesStorage):
    """The storage that docs/install.md asks for."""

    support_js_module_import_aggregation = True


def test_modules_import_each_other_by_their_hashed_names(tmp_path: Path) -> None:
    shutil.copytree("static/chat_app", tmp_path / "chat_app")
    storage = Hashed(location=tmp_path, base_url="/static/")
    paths = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")]
    assert len(list(storage.post_process({path: (storage, path) for path in paths}))) == len(paths)
    imported = [
        name
        for path in storage.hashed_files.values()
        if path.endswith(".js")
        for name in IMPORT.findall((tmp_path / path).read_text())
    ]
    assert len(imported) > 40
    assert [name for name in imported if not HASHED.search(f"/static/{name}")] == []


@pytest.mark.parametrize(
    ("storage", "expected"), [(ManifestStaticFilesStorage, ["chat_app.W004"]), (Hashed, [])]
)
def test_a_storage_that_leaves_imports_without_hashes_is_warned_of(
    storage: type, expected: list[str], settings: Any
) -> None:
    backend = f"{storage.__module__}.{storage.__qualname__}"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": backend}}
    assert [each.id for each in check_modules()] == expected


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
