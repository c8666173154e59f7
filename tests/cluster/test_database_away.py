"""PostgreSQL is away: whoever comes is told so in our words, and when to come again."""

import asyncio
import json
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.cluster import faults
from tests.cluster.cluster import Cluster
from tests.cluster.people import Person
from tests.support.processes.environment import HOST

pytestmark = [pytest.mark.cluster_only(reason="SQLite is not away"), pytest.mark.timeout(300)]


@pytest.mark.slow
async def test_requests_without_a_database_get_503_and_a_retry_time(cluster: Cluster) -> None:
    user = next(cluster.users)
    cookie = f"sessionid={cluster.cookies[user]}"
    async with Person(cluster, user) as person:
        before = await person.say('echo("before")')
        await person.until("the echo", lambda: person.text(before) == "before")
        await faults.kill(cluster.postgresql)
        page, api, health, code = await asyncio.gather(
            asyncio.to_thread(_ask, cluster, cookie, "GET", "/c/c/"),
            asyncio.to_thread(
                _ask, cluster, cookie, "POST", "/generate", {"input_message": 'echo("")'}
            ),
            asyncio.to_thread(_ask, cluster, cookie, "GET", "/health"),
            _closed(cluster, cookie),
        )
        assert {page[:2], api[:2], health[:2]} == {(503, "5")}
        assert "The database does not respond" in page[2]
        assert "Repeat the request" in json.loads(api[2])["message"]
        assert "does not respond" in health[2]
        assert code == 4503
        # Who is here stays, and what they say is stored once it can be.
        meanwhile = await person.say('echo("meanwhile")')
        await person.until("an error", lambda: "error_message" in _types(person))
        error = person.view.frames[_types(person).index("error_message")]
        assert error["details"]["reason"] == "not_stored"
        await faults.recover(cluster.postgresql, again=True)
        await person.until("the echo", lambda: person.text(meanwhile) == "meanwhile")
        await person.until("both news of the database", lambda: len(_away(person)) > 1)
        assert _away(person)[:2] == [True, False]
        assert not person.view.close_codes


def _types(person: Person) -> list[str]:
    return [frame["type"] for frame in person.view.frames]


def _away(person: Person) -> list[bool]:
    return [one["away"] for one in person.view.frames if one["type"] == "database_message"]


def _ask(
    cluster: Cluster, cookie: str, method: str, path: str, body: Any = None
) -> tuple[int, str | None, str]:
    """Return the status, when to come again, and the text."""
    headers = {"cookie": cookie, "accept": "text/html"}
    if body is not None:
        headers = {"authorization": "Bearer nak_none", "content-type": "application/json"}
    with closing(HTTPConnection(HOST, cluster.ports[0], timeout=60)) as connection:
        connection.request(method, path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("retry-after"), answer.read().decode()


async def _closed(cluster: Cluster, cookie: str) -> int | None:
    """Return the code with which a new socket is closed."""
    origin = cluster.origin(0)
    url = f"ws{origin.removeprefix('http')}/websocket?extended=true"
    opening: Any = connect(url, origin=origin, additional_headers={"cookie": cookie}, proxy=None)  # type: ignore[arg-type] # a NewType of str there
    socket: ClientConnection
    async with opening as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        return socket.close_code
