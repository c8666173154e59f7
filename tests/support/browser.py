"""Browser tests: Debian's Chromium, and for some its Firefox, driven through Playwright's
synchronous API.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Playwright,
    Request,
    expect,
    sync_playwright,
)

from tests.support.server import Server

# A suggestion window of the address bar, which nobody sees, took half of a test's processor time.
# The others are what Playwright disables: of two lists Chromium takes the last.
DISABLED_FEATURES = """
    WebUIOmniboxPopup WebUIOmniboxAimPopup
    AvoidUnnecessaryBeforeUnloadCheckSync DestroyProfileOnBrowserClose DialMediaRouteProvider
    GlobalMediaControls HttpsUpgrades LensOverlay MediaRouter PaintHolding
    ThirdPartyStoragePartitioning
    BlockOriginHeaderModificationOnRedirect AvoidCorsURLLoaderRestartOnRedirect Translate
    OptimizationHints NetworkTimeServiceQuerying AimEnabled
"""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(DISABLED_FEATURES.split())}",
]
# Timeout in milliseconds for content of a page, on a busy machine. Passing tests wait less.
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)
# Browser errors that a page cannot avoid while its server is down.
SERVER_AWAY = re.compile(
    r"WebSocket connection to|net::ERR_(CONNECTION|EMPTY_RESPONSE|SOCKET)|Failed to fetch"
    r"|Firefox can.t establish a connection"
)


@dataclass
class Console:
    """The problems that the pages of a test reported: script errors, CSP violations, failed
    loads.
    """

    server: Server
    complaints: list[str] = field(default_factory=list)
    # Status 422: a refused form is a normal answer to a person, but browsers report an error.
    expected: list[str] = field(default_factory=lambda: ["status of 422"])
    contexts: list[BrowserContext] = field(default_factory=list)
    waiting: list[Request] = field(default_factory=list)  # requests without a response so far

    def allow(self, pattern: str) -> None:
        """Expect complaints that the regular expression finds."""
        self.expected.append(pattern)

    def watch(self, context: BrowserContext) -> None:
        """Collect the complaints of all pages of a context."""
        self.contexts.append(context)
        context.on("request", lambda request: self.waiting.append(request))
        for end in ("requestfinished", "requestfailed"):
            context.on(end, self._on_end)
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error}"))

    def unexpected(self) -> list[str]:
        """Return the complaints that the test has not allowed."""
        return [
            complaint
            for complaint in self.complaints
            if not any(re.search(pattern, complaint) for pattern in self.expected)
            and not (self.server.was_killed and SERVER_AWAY.search(complaint))
        ]

    def shown(self) -> str:
        """Return the contents of all pages and the unanswered requests, for the report of a failed
        test.
        """
        pages = [page for context in self.contexts for page in context.pages]
        waiting = [f"no answer: {request.method} {request.url}" for request in self.waiting]
        return "\n".join([*map(_describe_page, pages), *waiting])

    def _on_end(self, request: Request) -> None:
        if request in self.waiting:
            self.waiting.remove(request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} ({message.location['url']})")


def _describe_page(page: Page) -> str:
    try:
        return f"{page.url}\n{page.locator('body').aria_snapshot(timeout=2000)}"
    except Error as error:  # the page is closed or hangs
        return f"{page.url}: {error.message}"


OpenPage = Callable[..., Page]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failed test what its pages showed."""
    report = yield
    console = getattr(item, "funcargs", {}).get("console")
    if call.when == "call" and report.failed and console is not None:
        report.sections.append(("pages", console.shown()))
    return report


def chromium() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


def firefox() -> str | None:
    return os.environ.get("FIREFOX") or shutil.which("firefox-esr")


def _launch_chromium(playwright: Playwright) -> Browser:
    if path := chromium():
        return playwright.chromium.launch(executable_path=path, args=FLAGS)
    pytest.fail("Chromium is missing: apt-get install chromium, or CHROMIUM=/path/to/chromium")


def _launch_firefox(playwright: Playwright) -> Browser:
    """Launch Mozilla's own Firefox by WebDriver BiDi, instead of Playwright's patched one."""
    if path := firefox():
        return playwright.firefox.launch(channel="moz-firefox", executable_path=path)
    pytest.fail("Firefox is missing: apt-get install firefox-esr, or FIREFOX=/path/to/firefox")


Launch = Callable[[Playwright], Browser]
Lend = Callable[[Launch], AbstractContextManager[Browser]]


@pytest.fixture(scope="session")
def _lend() -> Iterator[Lend]:
    """Return a function that lends a browser, one of each kind for all tests of a process.

    Playwright leaves its event loop marked as running in this thread, which would make every later
    asynchronous test fail. So the mark is set only while a test holds a browser.
    """
    playwright = sync_playwright().start()
    loop = asyncio.get_running_loop()
    asyncio._set_running_loop(None)
    browsers: dict[Launch, Browser] = {}

    @contextmanager
    def lend(launch: Launch) -> Iterator[Browser]:
        asyncio._set_running_loop(loop)
        try:
            if launch not in browsers:
                browsers[launch] = launch(playwright)
            yield browsers[launch]
        finally:
            asyncio._set_running_loop(None)

    yield lend
    asyncio._set_running_loop(loop)
    for browser in browsers.values():
        browser.close()
    playwright.stop()


@pytest.fixture
def browser(_lend: Lend) -> Iterator[Browser]:
    """Return Chromium. Tests for another browser override this fixture."""
    with _lend(_launch_chromium) as browser:
        yield browser


@pytest.fixture
def firefox_browser(_lend: Lend) -> Iterator[Browser]:
    """Return Firefox, for test files that use it as their fixture `browser`."""
    with _lend(_launch_firefox) as browser:
        yield browser


@pytest.fixture
def console(server: Server) -> Iterator[Console]:
    """Collect the problems of a test's pages; fail the test at its end for unexpected ones."""
    console = Console(server)
    yield console
    if unexpected := console.unexpected():
        pytest.fail("The browser's console has errors:\n" + "\n".join(unexpected))


@pytest.fixture
def open_page(browser: Browser, server: Server, console: Console) -> Iterator[OpenPage]:
    """Return a function that opens a page: `open_page("/", user="ben", color_scheme="dark")`.

    Each call has its own browser profile; `page.context.new_page()` is another tab of a profile.
    `user=None` is signed out; other arguments go to Playwright's `new_context`.
    """
    contexts: list[BrowserContext] = []

    def open_page(path: str | None = "/", *, user: str | None = "ann", **options: Any) -> Page:
        context = browser.new_context(base_url=server.url, **options)
        contexts.append(context)
        console.watch(context)
        if user is not None:
            cookie = {"name": "sessionid", "value": server.cookies[user], "url": server.url}
            context.add_cookies([cookie])  # type: ignore[list-item] # a TypedDict there
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        if path is not None:
            page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """Return an empty page, signed in as `ann`: a test opens what it is about."""
    return open_page(None)
