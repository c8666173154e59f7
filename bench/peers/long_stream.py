"""`make bench-stream`: what an answer of 500,000 characters costs the chat page while it streams.

Each line is of the time since the one before: the share of it in which the page's thread was busy
and in which it laid out, tasks over 50 ms, and what it holds then, after a garbage collection.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from bench.peers.pages import LONG_TASKS, Site, metrics, ours
from tests.support.browser import FLAGS, chromium

TOKENS = 200  # a second
LINES = 10
HEAD = """\
| minutes | characters held | busy | layout | tasks over 50 ms | longest | heap | nodes |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


@dataclass
class Watched:
    """A page with an answer that streams."""

    page: Page
    session: Any

    def lines(self, minutes: float) -> Iterator[str]:
        """Yield a line for each tenth of the time."""
        began = at = time.monotonic()
        before = metrics(self.session)
        for number in range(1, LINES + 1):
            self.page.wait_for_timeout(1000 * (began + minutes * 60 * number / LINES - at))
            seconds, now = time.monotonic() - at, metrics(self.session)
            busy, layout = (
                (now[name] - before[name]) / seconds for name in ("TaskDuration", "LayoutDuration")
            )
            tasks = self.page.evaluate("window.longTasks.splice(0)")
            yield (
                f"| {minutes * number / LINES:.1f} | {self.characters():,} | {busy:.0%} "
                f"| {layout:.1%} | {len(tasks)} | {max(tasks, default=0):.0f} ms | {self.held()} |"
            )
            before, at = metrics(self.session), time.monotonic()
            self.page.evaluate("window.longTasks.splice(0)")  # those of this looking

    def characters(self) -> int:
        """Return the length of the answer as far as the page holds it as elements."""
        answer = "document.querySelector('#items article.text:last-of-type, #items .text')"
        return int(self.page.evaluate(f"{answer}?.textContent.length ?? 0"))

    def held(self) -> str:
        """Return the memory of scripts, and how many nodes there are."""
        self.session.send("HeapProfiler.collectGarbage")
        now = metrics(self.session)
        return f"{now['JSHeapUsedSize'] / 1e6:.1f} MB | {now['Nodes']:,.0f}"


def watch(site: Site, page: Page, at_once: int, minutes: float) -> None:
    """Print the lines."""
    page.goto(site.new)
    site.choose(page)
    session = page.context.new_cdp_session(page)
    session.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})
    session.send("Performance.enable")
    tokens = round(minutes * 60 * TOKENS)
    page.locator(site.box).fill(
        f"report(characters={at_once}, tokens={tokens}, delay={1 / TOKENS})"
    )
    page.locator(site.box).press("Enter")
    page.locator(site.answers).first.wait_for()
    page.evaluate(LONG_TASKS)
    print(HEAD)
    for line in Watched(page, session).lines(minutes):
        print(line, flush=True)


def main() -> None:
    """Watch one answer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--at-once", type=int, default=0, help="characters with which it begins")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        ours(Path(directory)) as site,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        watch(site, site.open(browser), arguments.at_once, arguments.minutes)
        browser.close()


if __name__ == "__main__":
    main()
