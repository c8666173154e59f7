"""The peer's web UI in HTTP mode: through its gateway, as a guest, in each of its four ways."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import NewServer
from tests.http.client import Http
from tests.support.peer_gateway import CHAT, CHAT_STREAM, GENERATE, MODES, PeerGateway
from tests.support.peer_ui import PeerUi
from tests.support.server import Server, Template

ORIGIN = "http://ui.example:3000"
STREAMS = [mode for mode in MODES if mode.endswith("/stream")]
every_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture(scope="module")
def backend(
    server_template: Template, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that lets the UI's guests in."""
    directory = tmp_path_factory.mktemp("gateway")
    config = directory / "workflows.yaml"
    config.write_text("default: probe\nworkflows:\n  probe: {}\n")
    env: dict[str, Any] = {"GUESTS": "true", "ALLOWED_ORIGINS": ORIGIN}
    env["WORKFLOWS_FILE"] = str(config)
    server = Server.from_template(server_template, Path(directory) / "data", **env)
    server.start()
    yield server
    server.drop()


def new_session() -> str:
    """A token as the UI makes them."""
    return f"session_1763700000000_{uuid4().hex[:9]}"


@pytest.fixture
def ui(backend: Server) -> PeerGateway:
    """A browser that has not been here before."""
    return PeerGateway(backend, origin=ORIGIN, session=new_session())


@every_mode
def test_an_answer_is_shown_with_the_trace_that_feedback_names(ui: PeerGateway, mode: str) -> None:
    shown = ui.say("echo hello", mode)
    assert "hello" in shown.text
    assert (shown.toast, len(shown.trace)) == ("", 32)


@pytest.mark.parametrize("mode", STREAMS)
def test_the_steps_of_a_stream_are_shown(ui: PeerGateway, mode: str) -> None:
    shown = ui.say("step 2", mode)
    assert shown.text == "s1 s2 "
    assert {step["name"] for step in shown.steps} == {"step 1", "step 2"}


@every_mode
def test_a_failure_before_any_text_is_shown(ui: PeerGateway, mode: str) -> None:
    shown = ui.say("stream many", mode)
    assert "**Error (workflow_error):** " in shown.text
    assert "invalid literal" not in shown.text
    assert shown.toast == ""


@every_mode
def test_a_failure_after_text_is_shown(ui: PeerGateway, mode: str) -> None:
    shown = ui.say("fail", mode)
    assert "**Error (workflow_error):** " in shown.text
    assert "internal secret" not in shown.text
    assert shown.text.startswith("so far ") is mode.endswith("/stream")


@pytest.mark.parametrize("mode", [CHAT, GENERATE])
def test_a_prompt_is_shown_as_what_is_asked_and_where(ui: PeerGateway, mode: str) -> None:
    shown = ui.say("ask", mode)
    assert "waits for an answer" in shown.text
    assert "prompt-1" in shown.text


@pytest.mark.parametrize("mode", STREAMS)
def test_a_prompt_in_a_stream_is_a_line_that_is_shown(
    backend: Server, ui: PeerGateway, mode: str
) -> None:
    with ui.stream("ask", mode) as (run, looks):
        shown = next(look for look in looks if look.text)
        assert "waits for an answer" in shown.text
        assert "prompt-1" in shown.text
        guest = Http(backend, None, workflow=None, session=ui.session)
        stop = guest.get(f"/executions/{run}").json()
        assert guest.answer(stop, {"type": "text", "text": "yes"}).status == 204
        assert list(looks)[-1].text.endswith("yes")


def test_who_is_not_let_in_is_told(new_server: NewServer) -> None:
    shown = PeerGateway(new_server(), origin=ORIGIN, session=new_session()).say("echo 1", CHAT)
    assert shown.toast == "401"


async def test_it_is_the_same_guest_on_its_socket(backend: Server) -> None:
    session = new_session()
    gateway = PeerGateway(backend, origin=ORIGIN, session=session)
    gateway.say("echo over http", CHAT_STREAM)
    async with PeerUi(backend, origin=ORIGIN, session=session, pause=0.2) as socket:
        await socket.say("echo over the socket")
        await socket.until(lambda: socket.finished)
    rows = backend.rows(
        "SELECT DISTINCT c.owner_id FROM sessions_app_conversation c"
        " WHERE c.conversation_id IN (?, ?)",
        gateway.conversation_id,
        socket.conversation_id,
    )
    assert len(rows) == 1


def test_a_page_of_another_site_cannot_use_its_cookie(backend: Server) -> None:
    other = PeerGateway(backend, origin="https://evil.example", session=new_session())
    assert other.say("echo 1", CHAT).toast == "401"
