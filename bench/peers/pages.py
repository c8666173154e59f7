"""`make bench-pages`: the same tasks on our chat page and on Chainlit's, in one browser, in turn.

What a person sees is said in words, what it costs is counted: bytes, requests, tasks over 50 ms.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, TimeoutError, sync_playwright

from bench.contenders import until_healthy
from tests.support.browser import FLAGS, chromium
from tests.support.long_answer import report
from tests.support.processes.environment import HOST, ROOT
from tests.support.server import USERS, Server, Template, free_port

CHAINLIT = ROOT / os.environ.get("CHAINLIT", ".venv-chainlit") / "bin" / "chainlit"
PATIENCE = 30_000  # ms
# So many characters at once, then so many tokens, so many seconds before each.
STREAM = (20_000, 2000, 0.005)
LONG_TASKS = """() => {
  window.longTasks = [];
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) window.longTasks.push(each.duration);
  }).observe({ type: "longtask" });
}"""


@dataclass
class Site:
    """A page and the server behind it, which can be killed."""

    url: str
    new: str  # the path of a new conversation
    box: str  # where one writes
    messages: str  # what one has said
    answers: str  # what was answered
    question: str  # an open question's button
    field: str  # where one answers with a text
    process: Any
    cookies: list[dict[str, str]] = field(default_factory=list)

    def open(self, browser: Browser) -> Page:
        """Open the first page in a browser of its own."""
        context = browser.new_context(base_url=self.url)
        context.add_cookies(self.cookies)  # type: ignore[arg-type] # a TypedDict there
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        return page

    def say(self, page: Page, text: str) -> None:
        """Send a message in a new conversation."""
        page.goto(self.new)
        self.choose(page)
        message = page.locator(self.messages, has_text=text)
        deadline = time.monotonic() + PATIENCE / 1000
        while not message.count() and time.monotonic() < deadline:
            # A page whose script is not there yet, or is not connected, does not send.
            page.locator(self.box).fill(text)
            page.locator(self.box).press("Enter")
            page.wait_for_timeout(2000)
        message.wait_for()

    def choose(self, page: Page) -> None:
        """Choose the workflow, where there are several."""
        box = page.locator("input[name=workflow][value=probe]")
        page.locator(self.box).wait_for()
        page.wait_for_load_state("networkidle")
        if box.count():
            box.check()

    def buttons(self, page: Page) -> Locator:
        """Return the buttons that answer with yes."""
        return page.locator(self.question, has_text="continue")


@contextmanager
def ours(directory: Path) -> Iterator[Site]:
    """Our page, in one process."""
    template = Template.make(directory / "template", USERS)
    server = Server.from_template(template, directory / "ours")
    server.start()
    cookie = {"name": "sessionid", "value": server.cookies["ann"], "url": server.url}
    try:
        yield Site(
            server.url,
            "/c/",
            "#text",
            ".user .bubble",
            "#items .text",
            "prompt-card .buttons button",
            "prompt-card textarea, prompt-card input[type=text]",
            server,
            [cookie],
        )
    finally:
        server.drop()
        template.store.drop()


class Chainlit:
    """`chainlit run`, as it is installed."""

    def __init__(self, directory: Path) -> None:
        self.port, self.directory = free_port(), directory
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        app = ROOT / "bench" / "peers" / "chainlit_app.py"
        command = [str(CHAINLIT), "run", str(app), "--headless", "--port", str(self.port)]
        log = self.directory / "chainlit.log"
        env = os.environ | {"PYTHONPATH": str(ROOT), "CHAINLIT_APP_ROOT": str(self.directory)}
        with log.open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out, env=env)
        until_healthy(self.port, log)

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        self._process.kill()
        self._process.wait()

    restart = start


@contextmanager
def chainlit(directory: Path) -> Iterator[Site]:
    """Chainlit's page."""
    directory = directory / "chainlit"
    directory.mkdir()
    process = Chainlit(directory)
    try:
        yield Site(
            f"http://{HOST}:{process.port}",
            "/",
            "#chat-input",
            "[data-step-type=user_message]",
            "[data-step-type=assistant_message]",
            "button",
            "#chat-input",
            process,
        )
    finally:
        process.kill()


def first_visit(site: Site, browser: Browser) -> str:
    """Measure what comes over the wire until one can write."""
    page = site.open(browser)
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    began = time.monotonic()
    page.goto("/")
    page.locator(site.box).wait_for()
    ready = time.monotonic() - began
    page.wait_for_load_state("networkidle")
    nodes = page.evaluate("document.querySelectorAll('*').length")
    text = f"{sum(sizes) / 1024:,.0f} KiB in {len(sizes)} requests; {nodes} elements"
    return f"{text}; one can write after {ready:.1f} s"


def streaming(site: Site, browser: Browser) -> str:
    """Measure what 2,000 tokens of Markdown cost the page, after 20,000 characters."""
    at_once, tokens, delay = STREAM
    last = re.findall(r"`code_\d+`", report(at_once + tokens * 4))[-1].strip("`")
    page = site.open(browser)
    site.say(page, 'echo("hello")')
    page.evaluate(LONG_TASKS)
    session = page.context.new_cdp_session(page)
    # Of the processor, which others use too.
    session.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})
    session.send("Performance.enable")
    before = metrics(session)
    began = time.monotonic()
    page.locator(site.box).fill(f"report(characters={at_once}, tokens={tokens}, delay={delay})")
    page.locator(site.box).press("Enter")
    is_complete = is_there(page.get_by_text(last).last, 4 * PATIENCE)
    seconds = time.monotonic() - began
    busy = (metrics(session)["TaskDuration"] - before["TaskDuration"]) / seconds
    tasks = page.evaluate("window.longTasks")
    longest = max(tasks, default=0)
    end = f"shown after {seconds:.0f} s" if is_complete else f"not yet shown after {seconds:.0f} s"
    return f"{end}; {len(tasks)} tasks over 50 ms, the longest {longest:.0f} ms; {busy:.0%} busy"


def metrics(session: Any) -> dict[str, float]:
    """Return the browser's counters."""
    return {
        metric["name"]: metric["value"]
        for metric in session.send("Performance.getMetrics")["metrics"]
    }


def refreshed(site: Site, browser: Browser) -> str:
    """Look for an open question after a reload and in a second tab."""
    page = site.open(browser)
    site.say(page, "approve(count=1)")
    site.buttons(page).first.wait_for()
    page.reload()
    after_reload = is_there(site.buttons(page))
    tab = page.context.new_page()
    tab.goto(page.url)
    in_tab = is_there(site.buttons(tab))
    works = after_reload and answered(site, page)
    return (
        f"after a reload {yes(after_reload)}, in a second tab {yes(in_tab)}, "
        f"can be answered {yes(works)}"
    )


def killed(site: Site, browser: Browser) -> str:
    """Look for an open question after SIGKILL and a restart of the server."""
    page = site.open(browser)
    site.say(page, "approve(count=1)")
    site.buttons(page).first.wait_for()
    site.process.kill()
    site.process.restart()
    page.reload()
    after_restart = is_there(site.buttons(page))
    works = after_restart and answered(site, page)
    return f"still there {yes(after_restart)}, can be answered {yes(works)}"


def several(site: Site, browser: Browser) -> str:
    """Answer two questions that wait at once, each with a text, one after the other."""
    page = site.open(browser)
    site.say(page, "ask_two()")
    page.get_by_text("two?").first.wait_for()
    for text in ("first", "second"):
        page.wait_for_timeout(2000)  # a person reads it first
        field = page.locator(site.field).locator("visible=true").first
        field.fill(text)
        field.press("Enter")
    right = is_there(page.locator(site.answers, has_text="first|second"))
    return f"each answer goes to its question {yes(right)}"


def answered(site: Site, page: Page) -> bool:
    """Press the button; whether the run goes on."""
    site.buttons(page).first.click()
    return is_there(page.locator(site.answers, has_text="continue"))


def failing(site: Site, browser: Browser) -> str:
    """Look at what the page says of a workflow that raises."""
    page = site.open(browser)
    site.say(page, "fail()")
    is_there(page.get_by_text(re.compile("failed|secret", re.IGNORECASE)))
    text = page.locator("body").inner_text()
    sentence = next(
        (line for line in text.splitlines() if "ail" in line and line != "fail()"), "nothing"
    )
    return f"“{sentence}”; shows what the exception says {yes('internal secret' in text)}"


def is_there(locator: Locator, patience: float = PATIENCE) -> bool:
    """Return whether it comes in time."""
    try:
        locator.first.wait_for(timeout=patience)
    except TimeoutError:
        return False
    return True


def yes(is_so: bool) -> str:
    """Return the truth value in words."""
    return "yes" if is_so else "no"


TASKS = {
    "first visit": first_visit,
    "open question": refreshed,
    "two questions at once": several,
    "server killed": killed,
    "workflow raises": failing,
    "2,000 tokens of Markdown after 20,000 characters": streaming,
}


def attempt(task: Callable[[Site, Browser], str], site: Site, browser: Browser) -> str:
    """Return the result of a task; a page on which it cannot be done is no end of the others."""
    try:
        return task(site, browser)
    except TimeoutError as problem:
        return f"cannot be done: {problem.message.splitlines()[0]}"
    finally:
        for context in browser.contexts:
            context.close()


def main() -> None:
    """Print a table of tasks."""
    if not CHAINLIT.exists():
        sys.exit("Chainlit is missing: run make bench-pages, which installs it.")
    with (
        tempfile.TemporaryDirectory() as directory,
        ours(Path(directory)) as our_site,
        chainlit(Path(directory)) as chainlit_site,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        print("| task | ours | Chainlit |\n| --- | --- | --- |")
        for name, task in TASKS.items():
            cells = (attempt(task, site, browser) for site in (our_site, chainlit_site))
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
