"""Connections that drop, servers that die, and tabs that are copied, in the peer's web UI."""

import pytest

from chat_app.peer.plain_frames import RECONNECT_TEXT
from tests.support.peer_ui import PeerUi
from tests.support.polling import until
from tests.support.server import Server
from tests.support.slow_proxy import slow_proxy
from tests.wire.peer_ui.conftest import NewTab

pytestmark = pytest.mark.every_form(reason="what a client had is known to one web process")

SIX = "".join(f"t{number} " for number in range(6))


@pytest.mark.parametrize("come_back", ["reload", "drop_and_reconnect"])
async def test_a_prompt_that_is_pending_is_there_again(ui: PeerUi, come_back: str) -> None:
    await ui.say("approve(count=2)")
    for number in (1, 2):
        await ui.until_asked(f"prompt-{number}")
        ui.modal = None
        await getattr(ui, come_back)()
        await ui.until_asked(f"prompt-{number}")
        await ui.answer("continue")
    assert await ui.until_ended() == "continue|continue"


@pytest.mark.parametrize("come_back", ["reload", "drop_and_reconnect"])
async def test_a_stream_goes_on_where_it_was(ui: PeerUi, come_back: str) -> None:
    ui.pause = 1.0
    # A frame on its way when the connection drops counts as sent. So they are far apart.
    await ui.say("stream(tokens=6, delay=0.6)")
    await ui.until(lambda: "t1 " in ui.text)
    await getattr(ui, come_back)()
    assert await ui.until_ended() == SIX


async def test_after_an_outage_a_message_is_enough(ui: PeerUi) -> None:
    await ui.say('echo("one")')
    await ui.until_ended()
    ui.offline = True
    await ui.drop()
    await ui.until(lambda: ui.gave_up)
    ui.offline = False
    await ui.say('echo("two")')
    assert await ui.until_ended() == "two"


@pytest.mark.slow
async def test_a_server_that_is_killed_in_a_stream_repeats_no_text_without_a_word(
    ui: PeerUi, backend: Server
) -> None:
    ui.pause = 1.0
    await ui.say("stream(tokens=12, delay=0.5)")
    await ui.until(lambda: "t2 " in ui.text)
    backend.kill()
    backend.start()
    text = await ui.until_ended()
    tokens = [f"t{number} " for number in range(12)]
    parts = text.split(RECONNECT_TEXT)
    for part in parts:  # each is in order, without a gap
        assert part in "".join(tokens)
    assert parts[0].startswith("t0 t1 t2 ")
    assert parts[-1].endswith("t11 ")
    assert {token for token in tokens if token in text} == {*tokens}


async def test_a_copied_tab_shows_the_same_answer(new_tab: NewTab) -> None:
    async with new_tab() as ui:
        await ui.say("stream(tokens=6, delay=0.4)")
        await ui.until(lambda: "t1 " in ui.text)
        async with new_tab(copy_of=ui) as copy:
            assert await ui.until_ended() == SIX
            before, after = (await copy.until_ended()).split(RECONNECT_TEXT)
            assert SIX.startswith(before)
            assert after == SIX


async def test_a_tab_whose_copy_stays_open_misses_nothing(new_tab: NewTab, backend: Server) -> None:
    async with new_tab() as ui:
        await ui.say("stream(tokens=6, delay=0.4)")
        await ui.until(lambda: "t1 " in ui.text)
        async with new_tab(copy_of=ui) as copy:
            await copy.until(lambda: "t2 " in copy.text)
            await _lose_connection(ui)
            await copy.until_ended()
            await _come_back(ui)
            assert (await ui.until_ended()).split(RECONNECT_TEXT)[-1] == SIX


@pytest.mark.slow
async def test_an_answer_that_ended_while_its_client_was_away_from_a_killed_server(
    ui: PeerUi, backend: Server
) -> None:
    await ui.say("stream(tokens=6, delay=0.4)")
    await ui.until(lambda: "t1 " in ui.text)
    backend.kill()
    await _lose_connection(ui)
    backend.start()
    _until_ended(backend)
    await _come_back(ui)
    assert (await ui.until_ended()).split(RECONNECT_TEXT)[-1] == SIX


@pytest.mark.slow
async def test_a_deadline_that_passed_while_the_server_was_dead(
    ui: PeerUi, backend: Server
) -> None:
    await ui.say("ask_destructive()")
    await ui.until_asked("Delete the customer list?")
    backend.kill()
    ui.modal = None
    await _lose_connection(ui)
    backend.execute("UPDATE sessions_app_interaction SET expires_at = created_at")
    backend.start()
    _until_ended(backend)
    await _come_back(ui)
    assert (await ui.until_ended()).endswith("keep")


@pytest.mark.slow
async def test_a_message_after_an_outage_gets_its_own_answer_behind_a_slow_proxy(
    new_tab: NewTab, backend: Server
) -> None:
    async with slow_proxy(backend, 0.4) as proxied, new_tab(server=proxied) as ui:
        await ui.say("stream(tokens=6, delay=0.2)")
        await ui.until(lambda: "t1 " in ui.text)
        await _lose_connection(ui)
        _until_ended(backend)
        ui.offline = False
        await ui.say('echo("two")')
        assert await ui.until_ended() == "two"


async def _lose_connection(ui: PeerUi) -> None:
    """Lose the connection, and try in vain to have it back."""
    ui.offline = True
    await ui.drop()
    await ui.until(lambda: ui.gave_up)


async def _come_back(ui: PeerUi) -> None:
    """Load the page anew, with the network there."""
    ui.offline = False
    await ui.reload()


def _until_ended(backend: Server) -> None:
    """Wait until all runs have ended."""
    unfinished = "SELECT 1 FROM sessions_app_run WHERE status IN ('queued', 'running', 'waiting')"
    until(lambda: not backend.rows(unfinished))
