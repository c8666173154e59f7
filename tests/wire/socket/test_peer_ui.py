"""The peer's web UI against this server, as it is: through its gateway, as a guest."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import InvalidStatus

from tests.support.peer_ui import PeerUi
from tests.support.server import Server, Template
from tests.support.websocket import WsClient

ORIGIN = "http://ui.example:3000"


@pytest.fixture(scope="module")
def backend(
    server_template: Template, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    env: dict[str, Any] = {
        "GUESTS": "true",
        "ALLOWED_ORIGINS": ORIGIN,
        "WORKFLOWS_FILE": str(tmp_path_factory.mktemp("config") / "workflows.yaml"),
        "PARK_AFTER": "0.2",
    }
    Path(env["WORKFLOWS_FILE"]).write_text("default: probe\nworkflows:\n  probe: {}\n")
    data = tmp_path_factory.mktemp("peer") / "data"
    server = Server.from_template(server_template, data, **env)
    server.start()
    yield server
    server.drop()


@pytest.fixture
def ui(backend: Server) -> PeerUi:
    return PeerUi(backend, origin=ORIGIN, session=str(uuid4()), pause=0.2)


@pytest.mark.parametrize("schema_type", ["chat_stream", "generate_stream", "chat", "generate"])
async def test_chat_and_streaming(ui: PeerUi, schema_type: str) -> None:
    async with ui:
        for _ in range(2):
            await ui.say("stream 20", schema_type)
            await ui.until(lambda: ui.finished)
            assert ui.text == "".join(f"t{number} " for number in range(20))


async def test_steps_are_nested(ui: PeerUi) -> None:
    async with ui:
        await ui.say("step 2")
        await ui.until(lambda: ui.finished)
        assert [step["content"]["name"] for step in ui.steps.values()] == ["step 1", "step 2"]
        assert {step["status"] for step in ui.steps.values()} == {"complete"}
        assert {step["intermediate_parent_id"] for step in ui.steps.values()} == {"default"}


@pytest.mark.parametrize(
    ("type_", "said", "shown"),
    [
        ("text", "Ada", "Ada"),
        ("binary_choice", "blue", "blue"),
        ("radio", "red", "red"),
        ("notification", "OK", "ok"),
    ],
)
async def test_its_modals(ui: PeerUi, type_: str, said: str, shown: str) -> None:
    async with ui:
        await ui.say(f"prompt {type_}")
        await ui.asked()
        await ui.answer(said)
        await ui.until(lambda: ui.finished)
        assert ui.text == shown


@pytest.mark.parametrize("come_back", ["refresh", "drop"])
async def test_a_prompt_that_is_pending_is_there_again(ui: PeerUi, come_back: str) -> None:
    async with ui:
        await ui.say("approve 2")
        for number in (1, 2):
            first = await ui.asked()
            ui.modal = None
            await getattr(ui, come_back)()
            again = await ui.asked()
            assert again["id"] == first["id"]
            assert again["content"]["text"] == f"prompt-{number}"
            await ui.answer("continue")
        await ui.until(lambda: ui.finished)
        assert ui.text == "continue|continue"
        assert not ui.errors


async def test_a_connection_that_drops_in_a_stream_misses_nothing(ui: PeerUi) -> None:
    ui._pause = 1.0
    async with ui:
        # A frame on its way when the connection drops counts as sent. So they are far apart.
        await ui.say("slowstream 6 600")
        await ui.until(lambda: "t1 " in ui.text)
        await ui.drop()
        await ui.until(lambda: ui.finished)
        assert ui.text == "".join(f"t{number} " for number in range(6))


async def test_a_restart_of_the_server_is_survived(ui: PeerUi, backend: Server) -> None:
    ui._pause = 1.0
    async with ui:
        await ui.say("approve 1")
        await ui.asked()
        ui.modal = None
        backend.kill()
        backend.start()
        await ui.asked()
        await ui.answer("cancel")
        await ui.until(lambda: ui.finished)
        assert ui.text == "cancel"


async def test_guests_do_not_see_each_other(ui: PeerUi, backend: Server) -> None:
    async with ui:
        await ui.say("prompt text")
        await ui.asked()
        other = PeerUi(backend, origin=ORIGIN, session=str(uuid4()))
        other.conversation_id, other._parent = ui.conversation_id, ui._parent
        async with other:
            other.modal = ui.modal
            await other.answer("mine")
            await other.say("echo mine")
            await other.until(lambda: other.finished)
            assert other.modal is None
        assert not ui.finished
        await ui.answer("Ada")
        await ui.until(lambda: ui.finished)
        assert ui.text == "Ada"


async def test_the_token_may_come_as_the_backends_cookie(backend: Server) -> None:
    token = str(uuid4())
    cookie = {"Cookie": f"nat-session={token}"}
    async with WsClient(backend, "c1", user=None, origin=ORIGIN, headers=cookie) as client:
        await client.message("prompt text")
        prompt = await client.until("system_interaction_message")
    async with WsClient(backend, "c1", user=None, origin=ORIGIN, session=token) as client:
        assert (await client.until("system_interaction_message"))["id"] == prompt["id"]


@pytest.mark.parametrize("origin", ["http://ui.example", "https://ui.example:3000", "null"])
async def test_other_origins_stay_out(backend: Server, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with WsClient(backend, "c", user=None, origin=origin, session=str(uuid4())):
            pass
    assert refused.value.response.status_code == 403
