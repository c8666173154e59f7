"""Tests of the peer's web UI behind networks that are slow, or lose data without a word."""

import asyncio

import pytest

from chat_app.peer.plain_frames import RECONNECT_TEXT
from tests.support.hole_proxy import hole_proxy
from tests.support.peer_ui import PeerUi
from tests.support.server import Server
from tests.support.slow_proxy import slow_proxy
from tests.wire.peer_ui.conftest import new_tab

pytestmark = [
    pytest.mark.every_form("what a client had is known to one web process", at_each_change=False),
    pytest.mark.slow,
    pytest.mark.timeout(240),
]

MATRIX = pytest.mark.beyond("the peer's UI loses no word in long holes and over long distances")


def whole(words: int) -> str:
    return "".join(f"t{number} " for number in range(words))


async def until_shown(ui: PeerUi, word: str) -> None:
    """Wait until the page shows a word: of the last repetition, if there is one."""
    await ui.until(lambda _: f"{word} " in ui.answer_text.rpartition(RECONNECT_TEXT)[2])


def assert_nothing_lost(text: str, words: int) -> None:
    """Check that the page shows the whole answer, behind the last note if there is one."""
    assert text.rpartition(RECONNECT_TEXT)[2] == whole(words)
    for part in text.split(RECONNECT_TEXT)[:-1]:
        assert whole(words).startswith(part)


@pytest.mark.parametrize(
    ("round_trip", "refreshes"),
    [(0.2, 2), *(pytest.param(one, 6, marks=MATRIX) for one in (0.05, 0.2, 0.8))],
)
async def test_a_page_refreshed_in_a_stream_loses_no_word(
    backend: Server, round_trip: float, refreshes: int
) -> None:
    words = 40 * (refreshes + 1)
    async with slow_proxy(backend, round_trip / 2) as proxied, new_tab(proxied) as ui:
        await ui.say(f"stream(tokens={words}, delay=0.1)")
        for refresh in range(refreshes):
            await until_shown(ui, f"t{40 * refresh + 20}")
            await ui.refresh()
        text = await ui.ended()
    assert_nothing_lost(text, words)


@pytest.mark.parametrize("hole", [1, *(pytest.param(one, marks=MATRIX) for one in (5, 35, 90))])
@pytest.mark.parametrize("ends", ["in the hole", "after it"])
async def test_a_page_that_comes_back_from_a_hole_loses_no_word(
    backend: Server, hole: int, ends: str
) -> None:
    words = hole * 5 if ends == "in the hole" else hole * 10 + 100
    async with hole_proxy(backend) as proxy, new_tab(proxy.server) as ui:
        await ui.say(f"stream(tokens={words}, delay=0.1)")
        await until_shown(ui, "t3")
        proxy.begin_hole()
        await ui.until_closed()
        await asyncio.sleep(hole)
        proxy.end_hole()
        await ui.come_back()
        text = await ui.ended()
    assert_nothing_lost(text, words)


async def test_an_end_within_a_round_trip_of_the_close_comes_again(backend: Server) -> None:
    async with slow_proxy(backend, 0.4) as proxied, new_tab(proxied) as ui:
        await ui.say("stream(tokens=5, delay=0.1)")
        await until_shown(ui, "t2")
        await ui.refresh()
        text = await ui.ended()
    assert_nothing_lost(text, 5)
