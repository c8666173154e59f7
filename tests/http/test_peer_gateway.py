"""The peer's web UI in HTTP mode: through its gateway, as a guest, in each of its four ways."""

from contextlib import ExitStack
from uuid import UUID, uuid4

import pytest
from websockets.exceptions import InvalidStatus

from tests.conftest import NewServer
from tests.http.client import Http
from tests.support.peer_gateway import CHAT, CHAT_STREAM, MODES, PeerGateway
from tests.support.peer_ui import PeerUi
from tests.support.server import Server
from tests.support.websocket import WsClient

ORIGIN = "http://ui.example:3000"
STREAMS = [mode for mode in MODES if mode.endswith("/stream")]
RUNS = """
    SELECT r.id FROM sessions_app_run r
    JOIN sessions_app_conversation c ON c.id = r.conversation_id WHERE c.conversation_id = ?
"""
FEEDBACK = """
    SELECT f.reaction, f.comment FROM sessions_app_feedback f
    JOIN sessions_app_run r ON r.id = f.run_id
    JOIN sessions_app_conversation c ON c.id = r.conversation_id WHERE c.conversation_id = ?
"""
every_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module")
def backend(new_module_server: NewServer) -> Server:
    workflows = "default: probe\nworkflows:\n  probe: {}\n"
    return new_module_server(workflows=workflows, GUESTS="true", ALLOWED_ORIGINS=ORIGIN)


def new_session() -> str:
    return f"session_1763700000000_{uuid4().hex[:9]}"


@pytest.fixture
def ui(backend: Server) -> PeerGateway:
    """Return a browser that has not been here before."""
    return PeerGateway(backend, origin=ORIGIN, session=new_session())


@every_mode
def test_an_answer_is_shown_with_its_steps_and_the_trace_that_feedback_names(
    ui: PeerGateway, mode: str
) -> None:
    answer = ui.say("step(count=2)", mode)
    assert "s1 s2 " in answer.text
    assert (answer.toast, len(answer.trace)) == ("", 32)
    steps = {"step 1", "step 2"} if mode.endswith("/stream") else set()
    assert {step["name"] for step in answer.steps} == steps


@every_mode
@pytest.mark.parametrize("failing", ['fail(text="")', "fail()"])
def test_a_failure_is_shown_behind_the_text_of_a_stream(
    ui: PeerGateway, mode: str, failing: str
) -> None:
    answer = ui.say(failing, mode)
    assert "**Error (workflow_error):** " in answer.text
    assert "invalid literal" not in answer.text
    assert "internal secret" not in answer.text
    has_text = failing == "fail()" and mode.endswith("/stream")
    assert (answer.text.startswith("so far "), answer.toast) == (has_text, "")


@every_mode
@pytest.mark.parametrize("is_answered", [True, False])
def test_a_prompt_is_shown_and_answered_or_makes_way_for_the_next_message(
    backend: Server, ui: PeerGateway, mode: str, is_answered: bool
) -> None:
    guest = Http(backend, None, workflow=None, session=ui.session)
    with ExitStack() as stack:
        if mode in STREAMS:
            run, looks = stack.enter_context(ui.stream("ask()", mode))
            answer = next(look for look in looks if look.text)
        else:
            answer = ui.say("ask()", mode)
            [row] = backend.rows(RUNS, ui.conversation_id)
            run = str(UUID(str(row["id"])))
        assert "waits for an answer" in answer.text
        assert "prompt-1" in answer.text
        if is_answered:
            stop = guest.get(f"/executions/{run}").json()
            assert guest.answer(stop, {"type": "text", "text": "yes"}).status == 204
            if mode in STREAMS:
                assert list(looks)[-1].text.endswith("yes")
            return
    assert "hello" in ui.say('echo("hello")', mode).text
    assert guest.get(f"/executions/{run}").json()["run_status"] == "cancelled"


def test_thumbs_and_comments_are_kept_with_the_run(backend: Server, ui: PeerGateway) -> None:
    answer = ui.say('echo("hello")', CHAT)
    assert ui.rate(answer.trace, reaction_type="👎").status == 200
    assert ui.rate(answer.trace, comment="too short").status == 200
    assert ui.rate(answer.trace, reaction_type="👍").json()["message"]
    [row] = backend.rows(FEEDBACK, ui.conversation_id)
    assert (row["reaction"], row["comment"]) == ("👍", "too short")

    stranger = PeerGateway(backend, origin=ORIGIN, session=new_session())
    assert stranger.rate(answer.trace, reaction_type="👎").status == 404
    for wrong in ({}, {"comment": "x" * 1025}, {"reaction_type": "x" * 21}, {"comment": "\0"}):
        assert ui.rate(answer.trace, **wrong).status == 422
    [row] = backend.rows(FEEDBACK, ui.conversation_id)
    assert (row["reaction"], row["comment"]) == ("👍", "too short")
    assert ui.rate(answer.trace, reaction_type="", comment="").status == 200
    assert backend.rows(FEEDBACK, ui.conversation_id) == []


def test_there_are_no_tools_to_list(ui: PeerGateway) -> None:
    assert ui.tools() == {"mcp_clients": []}


async def test_a_refused_guest_is_told_and_the_log_names_the_setting(
    new_server: NewServer,
) -> None:
    server = new_server()
    gateway = PeerGateway(server, origin=ORIGIN, session=new_session())
    assert gateway.say('echo("1")', CHAT).toast == "401"
    async with WsClient(server, "c1", user=None, session=gateway.session) as socket:
        await socket.message('echo("1")')
        assert await socket.until_closed() == 4401
    with pytest.raises(InvalidStatus):
        await WsClient(server, "c1", user=None, origin=ORIGIN).__aenter__()
    lines = [line for line in server.web.log.splitlines() if "hitl.audit" in line]
    settings = [line.partition("setting=")[2].partition(" ")[0] for line in lines]
    assert settings == ["GUESTS", "GUESTS", "ALLOWED_ORIGINS"]


@pytest.mark.slow
def test_guests_are_enough_for_a_ui_on_the_same_machine(new_server: NewServer) -> None:
    server = new_server(GUESTS="true", ALLOWED_ORIGINS="")
    gateway = PeerGateway(server, origin="http://localhost:3000", session=new_session())
    assert "**20**" in gateway.say("What is 4 * 5?", CHAT).text
    other = PeerGateway(server, origin=ORIGIN, session=new_session())
    assert other.say("hello", CHAT).toast == "401"
    assert "setting=ALLOWED_ORIGINS" in server.web.log


async def test_a_guest_is_the_same_over_http_and_socket(backend: Server) -> None:
    session = new_session()
    gateway = PeerGateway(backend, origin=ORIGIN, session=session)
    gateway.say('echo("over http")', CHAT_STREAM)
    async with PeerUi(backend, origin=ORIGIN, session=session) as socket:
        await socket.say('echo("over the socket")')
        assert await socket.ended() == "over the socket"
    rows = backend.rows(
        "SELECT DISTINCT c.owner_id FROM sessions_app_conversation c"
        " WHERE c.conversation_id IN (?, ?)",
        gateway.conversation_id,
        socket.conversation_id,
    )
    assert len(rows) == 1
