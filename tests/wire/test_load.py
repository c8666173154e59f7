"""The people of `make bench`: they get all that they ask for, and count it."""

import pytest

from bench.load import PROMPTS, TOKENS, WORK, Target, load
from tests.support.server import Server

UNITS = {"prompts": PROMPTS, "echo": 1, "stream": TOKENS}


@pytest.mark.parametrize("work", WORK)
async def test_work_of_two_users_is_counted_in_whole_units(server: Server, work: str) -> None:
    cookies = [f"sessionid={server.cookies[user]}" for user in ("ann", "ben")]
    target = Target([server.url.replace("http", "ws")], cookies, "&workflow=probe")
    figures = await load(target, work, 2, seconds=0, busy=lambda: 0.0)
    assert figures["units"] % UNITS[work] == 0
    assert figures["units"] >= 2 * UNITS[work]
