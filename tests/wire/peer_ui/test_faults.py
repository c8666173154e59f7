"""Servers that die, and connections that are lost, in the peer's web UI."""

import asyncio
from urllib.parse import urlsplit

import pytest

from chat_app.peer.plain_frames import RECONNECT_TEXT
from tests.http.client import Http
from tests.support.peer_ui import PeerUi
from tests.support.polling import until
from tests.support.server import Server
from tests.support.slow_proxy import slow_proxy
from tests.wire.peer_ui.conftest import new_tab

KNOWN = "what a client had is known to one web process"
pytestmark = pytest.mark.every_form(KNOWN, at_each_change=False)

TOKENS = [f"t{number} " for number in range(12)]
SIX = "".join(TOKENS[:6])
KEPT_CURSOR = """
    SELECT 1 FROM chat_app_socketcursor one JOIN sessions_app_conversation two
    ON two.id = one.conversation_id WHERE two.conversation_id = ?
"""


@pytest.mark.slow
async def test_a_stream_goes_on_where_it_was_and_a_copied_tab_has_all(
    ui: PeerUi, backend: Server
) -> None:
    await ui.say("wait_for_callbacks()")
    await ui.shows("http")
    url = ui.answer_text
    await ui.confirm()
    await ui.leave()
    until(lambda: backend.rows(KEPT_CURSOR, ui.conversation_id))
    await ui.come_back()
    until(lambda: not backend.rows(KEPT_CURSOR, ui.conversation_id))  # it has its place back
    async with ui.copied_tab() as copy:
        site = Http(backend, None, workflow=None)
        await asyncio.to_thread(site.post, urlsplit(url).path, '"late"')
        assert await ui.ended() == f'{url} "late"'
        assert await copy.ended() == f'{RECONNECT_TEXT}{url} "late"'


@pytest.mark.slow
async def test_a_server_that_is_killed_in_a_stream_repeats_no_text_without_a_word(
    ui: PeerUi, backend: Server
) -> None:
    await ui.say("stream(tokens=12, delay=0.5)")
    await ui.shows("t2 ")
    backend.kill()
    await ui.leave()
    backend.start()
    await ui.come_back()
    text = await ui.ended()
    parts = text.split(RECONNECT_TEXT)
    for part in parts:  # each is in order, without a gap
        assert part in "".join(TOKENS)
    assert parts[0].startswith("t0 t1 t2 ")
    assert parts[-1].endswith("t11 ")
    assert {token for token in TOKENS if token in text} == {*TOKENS}


@pytest.mark.slow
@pytest.mark.every_form(KNOWN)
async def test_an_answer_that_ended_while_its_client_was_away_from_a_killed_server(
    ui: PeerUi, backend: Server
) -> None:
    await ui.say("stream(tokens=6, delay=0.4)")
    await ui.shows("t1 ")
    backend.kill()
    await ui.leave()
    backend.start()
    _until_ended(backend)
    await ui.come_back()
    assert (await ui.ended()).split(RECONNECT_TEXT)[-1] == SIX


@pytest.mark.slow
async def test_a_message_after_an_outage_gets_its_own_answer_behind_a_slow_proxy(
    backend: Server,
) -> None:
    async with slow_proxy(backend, 0.4) as proxied, new_tab(proxied) as ui:
        await ui.say("stream(tokens=6, delay=0.2)")
        await ui.shows("t1 ")
        await ui.leave()
        _until_ended(backend)
        await ui.come_back()
        await ui.say('echo("two")')
        assert await ui.ended() == "two"


def _until_ended(backend: Server) -> None:
    unfinished = "SELECT 1 FROM sessions_app_run WHERE status IN ('queued', 'running', 'waiting')"
    until(lambda: not backend.rows(unfinished))
