"""A workflow that says, asks, returns and raises the corpus: its runs end, and pages show them."""

import pytest
from playwright.sync_api import expect

from sessions_app.storage.storable import is_storable
from tests.hostile.attack.entries import entries, texts
from tests.hostile.attack.raw_http import Request
from tests.hostile.attack.throwing import check_log, spread, throw
from tests.http.client import Http
from tests.support.browser import OpenPage
from tests.support.received_frames import Frame
from tests.support.server import Server
from tests.support.websocket import WsClient

pytestmark = [
    pytest.mark.slow,
    pytest.mark.every_form(reason="the other database takes other texts"),
]

# How a run comes to rest, by what the workflow does with an entry.
RESTS = {"say": {"completed"}, "raise": {"failed"}, "return": {"completed"}, "ask": {"waiting"}}
# A trace of the log that is the workflow's own doing.
ASKED_FOR = "tests/hostile/host/workflows.py"
# Runs of a conversation: as many as a page shows at once.
MANY = 20


@pytest.fixture
def server(attacked: Server) -> Server:
    """Return the server of the browser."""
    return attacked


@pytest.mark.parametrize("way", RESTS)
async def test_every_run_comes_to_rest_and_every_page_shows_it(attacked: Server, way: str) -> None:
    chosen = [entry for _, entry in spread([way], [*texts()], 3)]
    for number, start in enumerate(range(0, len(chosen), MANY)):
        some = chosen[start : start + MANY]
        async with WsClient(attacked, f"{way} {number}", workflow="hostile") as client:
            for entry in some:
                await client.message(f"{way} {entry}", message_id=entry)
            rests: dict[str, str] = {}
            while len(rests) < len(some):
                frame = await client.until(rests_now, timeout=60)
                rests[frame["parent_id"]] = frame["content"].get("status", "waiting")
            wrong = {
                entry: rest
                for entry, rest in rests.items()
                if rest not in RESTS[way] and rest != exception(way, texts()[entry])
            }
            assert not wrong
            look(attacked, client)
            await answer_all(client)
        async with WsClient(attacked, f"{way} {number}", last_sequence=0) as again:
            await again.message("say a number")
            await again.until(is_completed, timeout=60)
    check_log(attacked, but=ASKED_FOR)


def rests_now(frame: Frame) -> bool:
    if frame["type"] == "run_update_message":
        return str(frame["content"]["status"]) not in ("queued", "running")
    return bool(frame["type"] == "system_interaction_message")


def is_completed(frame: Frame) -> bool:
    return str(frame["content"].get("status")) == "completed"


def exception(way: str, text: str) -> str:
    """Return how else a run may come to rest: a result is not stored, or a prompt is refused."""
    if way == "return" and not is_storable(text):
        return "suspended"
    is_refused = len(text) > 10_000 or not is_storable(text)
    return "failed" if way == "ask" and is_refused else ""


def look(server: Server, client: WsClient) -> None:
    """Open each page that shows the conversation or one of its runs."""
    assert client.conversation_id is not None
    path = "/c/" + client.conversation_id.replace(" ", "%20")
    runs = {frame["run_id"] for frame in client.frames if frame.get("run_id")}
    requests = [Request("", f"{path}/"), Request("", f"{path}/items/?from=1")]
    for number, run in enumerate(sorted(runs)):
        requests.append(Request("", f"/executions/{run}"))
        lists = [f"{name}/?run__id__exact={run}" for name in ("event", "journalentry")]
        one = [f"run/{run}/change/", "interaction/?q=" + run, *lists][number % 4]
        requests.append(Request("", f"/admin/sessions_app/{one}", user="admin"))
    answers = throw(server, requests, but=ASKED_FOR)
    assert {answer.status for answer in answers} == {200}


async def answer_all(client: WsClient) -> None:
    """Answer what waits, also the prompts that are still to come; all of it ends."""
    waiting = {prompt["run_id"] for prompt in client.of_type("system_interaction_message")}
    answered_ids: set[str] = set()
    while waiting:
        for prompt in client.of_type("system_interaction_message"):
            if prompt["id"] not in answered_ids:
                answered_ids.add(prompt["id"])
                is_elsewhere = prompt["content"]["input_type"] in ("oauth_consent", "link")
                await client.answer("done" if is_elsewhere else "yes", prompt)
        frame = await client.until(prompted_or_completed, timeout=60)
        if is_completed(frame):
            waiting.discard(frame["run_id"])


def prompted_or_completed(frame: Frame) -> bool:
    return frame["type"] == "system_interaction_message" or is_completed(frame)


@pytest.mark.every_form("the other database takes other texts", at_each_change=False)
def test_no_hostile_value_runs_in_a_browser(attacked: Server, open_page: OpenPage) -> None:
    http = Http(attacked, workflow="hostile")
    for entry in entries("markdown"):
        http.post("/generate", {"input_message": f"say {entry}"}, conversation_id="browser")
    http.post("/generate", {"input_message": "ask a false card"}, conversation_id="browser")
    page = open_page(None)
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    page.goto("/c/browser/")
    expect(page.locator("#items")).to_contain_text("ask a false card")
    assert page.locator("#items").locator("script, iframe, img, style, base, meta").count() == 0
    assert page.url.endswith("/c/browser/")
