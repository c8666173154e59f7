"""Runs that wait in the database of a released version go on after its migrations."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.http.client import Http
from tests.inbox.people import inbox_of
from tests.released.databases import VERSIONS, load
from tests.released.workflows import FUNCTIONS
from tests.support.server import Server
from tests.support.websocket import WsClient

pytestmark = pytest.mark.every_form("each has a database of its own")

# The text of each prompt, the answer to it, and what the run has said at its end.
OWN_PROMPTS = {
    "ask_after_step": ({"Name?": "Ann"}, "7 Ann"),
    "propose_form": ({"Order?": '{"item": "Nut", "pieces": 90}'}, "90 Nut"),
    "gather_prompts": ({"one?": "1", "two?": "2"}, "1|2"),
    "run_child": ({"Child?": "yes"}, "child: yes"),
}
ASSIGNED_PROMPTS = {
    "call_tool": ("Pay?", "ben", "approve", "approve {'euro': 20}"),
    "vote": ("Agreed?", "user0", "yes", "yes of two"),
}
OTHERS = {"sleep_a_minute", "wait_for_payment"}


@pytest.fixture(scope="module", params=VERSIONS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Serve the migrated database of a version."""
    server = load(request.param, tmp_path_factory.mktemp("released") / "data")
    server.start()
    yield server
    server.drop()


def test_each_recorded_run_is_answered_here() -> None:
    assert VERSIONS
    assert {*OWN_PROMPTS, *ASSIGNED_PROMPTS, *OTHERS} == {*FUNCTIONS}


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN_PROMPTS)
async def test_a_prompt_of_the_owner_is_answered(server: Server, name: str) -> None:
    answers, text = OWN_PROMPTS[name]
    async with WsClient(server, name) as client:
        for _ in answers:
            prompt = await client.until("system_interaction_message")
            await client.answer(answers[prompt["content"]["text"]], prompt)
        await until_said(client, text)


@pytest.mark.parametrize("name", ASSIGNED_PROMPTS)
async def test_a_prompt_of_others_is_answered(server: Server, name: str) -> None:
    question, person, answer, text = ASSIGNED_PROMPTS[name]
    [prompt] = [one for one in inbox_of(server, person) if one["prompt"]["text"] == question]
    async with WsClient(server, user=person) as client:
        await client.answer(answer, interaction_id=prompt["interaction_id"])
    async with WsClient(server, name) as client:
        await until_said(client, text)


async def test_a_sleep_ends(server: Server) -> None:
    async with WsClient(server, "sleep_a_minute") as client:
        await until_said(client, "awake")


async def test_a_callback_of_the_old_version_arrives(server: Server) -> None:
    async with WsClient(server, "wait_for_payment") as client:
        step = await client.until("system_intermediate_message")
        url = step["content"]["name"]
        assert Http(server, None, workflow=None).post(urlsplit(url).path, 20).status == 204
        await until_said(client, "paid 20")


@pytest.mark.slow
@pytest.mark.every_form("each has a database of its own", at_each_change=False)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_pages_show_the_conversation(server: Server, name: str) -> None:
    page = server.get(f"/c/{name}/", "ann")
    assert (page.status, "begun" in page.text) == (200, True)


def test_the_admin_lists_the_runs(server: Server) -> None:
    assert server.get("/admin/sessions_app/run/", "admin").status == 200


async def until_said(client: WsClient, text: str) -> None:
    await client.until(lambda frame: frame["content"].get("text", "").endswith(text))
    await client.until_ended("completed")
