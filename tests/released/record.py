"""`make release-databases`: the databases of the version in pyproject.toml, in both forms, once."""

import pytest

from tests.conftest import NewServer
from tests.inbox.people import inbox_of, make_group
from tests.released.databases import FILE, FOLDER, SETTINGS, dump
from tests.released.workflows import FUNCTIONS
from tests.support.polling import until
from tests.support.server import ROOT, Server
from tests.support.websocket import WsClient
from tests.versions import PYPROJECT

# The function `run_child` has a second run.
RUNS = len(FUNCTIONS) + 1
WAITING = "SELECT 1 FROM sessions_app_run WHERE status = 'waiting'"


@pytest.mark.every_form("each has a database of its own")
async def test_record(new_server: NewServer) -> None:
    path = FOLDER / PYPROJECT["project"]["version"] / FILE
    if path.exists():
        pytest.fail(f"{path.relative_to(ROOT)} exists. A recorded database does not change.")
    server = new_server(**SETTINGS)
    make_group(server, "approvers", ["ben", "user0"])
    await begin_runs(server)
    until(lambda: len(server.rows(WAITING)) == RUNS, otherwise=server.story)
    prompts = {
        prompt["prompt"]["text"]: prompt["interaction_id"] for prompt in inbox_of(server, "ben")
    }
    claim = {"type": "claim_message", "id": "claim", "change": "claim"}
    async with WsClient(server, user="ben") as client:
        await client.answer("yes", interaction_id=prompts["Agreed?"], id="vote")
        assert (await client.reply_to("vote"))["outcome"] == "voted"
        await client.send({**claim, "interaction_id": prompts["Pay?"]})
        assert (await client.reply_to("claim"))["outcome"] == "accepted"
    server.stop()
    dump(server, path)


async def begin_runs(server: Server) -> None:
    """Start a run of each function."""
    for name in FUNCTIONS:
        async with WsClient(server, name, workflow="released") as client:
            await client.message(name)
            await client.until("run_update_message")
