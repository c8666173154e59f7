"""Input that nobody has thought of, made from the schemas: at the socket, over HTTP, as Markdown.

The same input each time in `make test`; `make fuzz` has more of it, and another each time.
"""

import asyncio
import json
import os
import re
from collections.abc import Coroutine
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from chat_app.api.app import api
from chat_app.page.markdown.markdown import render
from sessions_app.storage.storable import is_storable
from sessions_app.templatetags.detail_tags import visible
from tests.hostile.attack.doors import Page, looked_up, messages, pages
from tests.hostile.attack.entries import entries, hostile_json, texts
from tests.hostile.attack.examples import MARK, examples, places, replaced
from tests.hostile.attack.raw_http import Request, escape, send
from tests.hostile.attack.throwing import check_log, complaint_about, executable
from tests.hostile.test_socket_doors import GOOD, is_failure
from tests.http.client import Http
from tests.support.server import Server
from tests.support.websocket import WsClient

# Examples of each form; `make fuzz` sets it, and then no two runs have the same.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
QUICK = {"socket": 12, "http": 150, "markdown": 600}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600 if EXAMPLES else 400),
]


def effort(form: str) -> settings:
    return settings(
        max_examples=EXAMPLES or QUICK[form],
        stateful_step_count=25,
        derandomize=not EXAMPLES,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


MESSAGES = [message.frame for message in messages(GOOD)]
PIECES = st.sampled_from([*texts().values()])
ANY_JSON = st.sampled_from([text for _, text in hostile_json()])


@st.composite
def mutated(draw: st.DrawFn, values: list[Any]) -> str:
    """Return a good value, in most cases with something else in some of its places, as JSON."""
    value = draw(st.sampled_from(values))
    texts_: list[str] = []
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.sampled_from([*places(value)][:40]))
        value = replaced(value, place, f"{MARK}{len(texts_)}")
        texts_.append(draw(ANY_JSON))
    written = json.dumps(value)
    for number, text in enumerate(texts_):
        written = written.replace(json.dumps(f"{MARK}{number}"), text)
    return written


@cache
def pages_and_names() -> tuple[list[Page], list[str]]:
    """Return the pages, and what they may be asked in a query."""
    names = looked_up("GET") | {"session", "next", "o", "p", "e"}
    return sorted(pages(), key=str), sorted(names)


@cache
def operations() -> list[tuple[str, str, st.SearchStrategy[str]]]:
    """Path, method and body of each operation of the HTTP interface."""
    document = api.get_openapi_schema(path_prefix="/")
    drawn = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            schema = content.get("application/json", {}).get("schema", {"const": None})
            bodies = examples(schema, document, GOOD)
            drawn.append((path, method.upper(), mutated(bodies)))
    return drawn


MARKS = st.sampled_from("<>\"'()[]!`|-:/\n\t &#;=~*_+.\\ajvscriptonhref\x00\u202e")


class SocketMachine(RuleBasedStateMachine):
    """A person's socket: whatever comes, it answers, and its log has no gap."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.name = os.urandom(8).hex()
        self.client = self.connect()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    def connect(self, **query: Any) -> WsClient:
        client = WsClient(self.server, self.name, workflow="probe", **query)
        self.run(client.__aenter__())
        return client

    @rule(text=mutated(MESSAGES))
    def say(self, text: str) -> None:
        self.run(self.client.send(text))
        self.check()

    @rule(text=st.text(max_size=60) | PIECES)
    def babble(self, text: str) -> None:
        """Send a frame that is hardly a message."""
        self.run(self.client.send(text.encode(errors="replace").decode()))
        self.check()

    @rule(data=st.binary(max_size=60))
    def send_bytes(self, data: bytes) -> None:
        self.run(self.client.send(data))
        self.check()

    @rule()
    def ask(self) -> None:
        self.run(self.client.message("ask()"))
        self.check()

    @rule(last=st.integers(-2, 300))
    def come_back(self, last: int) -> None:
        """Leave, and come back with a cursor that may be wrong."""
        self.run(self.client.__aexit__(None, None, None))
        self.client = self.connect(last_sequence=last)
        self.check()

    def check(self) -> None:
        """Check that it lives, unless it was told of three wrong passwords, and that nothing has
        failed.
        """
        try:
            self.run(self.client.send({"type": "ping_message", "id": "ping"}))
            self.run(self.client.reply_to("ping"))
        except Exception:
            if self.client.close_code != 4401:
                raise
            self.client = self.connect()
        frames = self.client.frames
        assert not [frame for frame in frames if is_failure(frame)]
        mine = [frame for frame in frames if frame.get("conversation_id") == self.name]
        sequences = [frame["sequence"] for frame in mine if frame.get("sequence")]
        assert sequences == sorted(sequences)

    def teardown(self) -> None:
        """Check that a good message is answered."""
        self.run(self.client.message('echo("well")', conversation_id=f"{self.name} end"))
        self.run(self.client.until(lambda frame: frame.get("content", {}).get("text") == "well"))
        self.run(self.client.__aexit__(None, None, None))
        self.loop.close()


def test_a_socket_outlives_what_it_is_sent(attacked: Server) -> None:
    class Machine(SocketMachine):
        server = attacked

    run_state_machine_as_test(Machine, settings=effort("socket"))
    check_log(attacked)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Return a request of the interface, or of a page."""
    all_pages, names = pages_and_names()
    path_part = draw(PIECES | st.text(max_size=40))
    query_part = escape(draw(PIECES | st.text(max_size=40)))
    query = f"?workflow=probe&{draw(st.sampled_from(names))}={query_part}"
    if draw(st.booleans()):
        page = draw(st.sampled_from(all_pages))
        user = draw(st.sampled_from(["admin", "ann", None]))
        path = page.template % dict.fromkeys(page.parameters, escape(path_part))
        return Request("fuzz", f"/{path}{query}", user=user)
    path, method, bodies = draw(st.sampled_from(operations()))
    headers = {
        "Content-Type": "application/json",
        "conversation-id": draw(st.sampled_from([*entries("headers").values()])),
    }
    path = re.sub("{.*?}", str(draw(st.uuids())), path)
    return Request("fuzz", path + query, method, headers, draw(bodies).encode())


def test_a_request_is_answered(attacked: Server) -> None:
    @effort("http")
    @given(requests())
    def check(request: Request) -> None:
        assert not complaint_about(send(attacked, request))

    check()
    check_log(attacked)
    assert Http(attacked).generate('echo("well")').json() == {"value": "well"}


@pytest.mark.formless
@pytest.mark.beyond("no text made of random marks runs as a script")
def test_markdown_never_runs() -> None:
    @effort("markdown")
    @given(st.lists(PIECES.filter(is_storable) | st.text(MARKS, max_size=20), max_size=6))
    def check(pieces: list[str]) -> None:
        text = "".join(pieces)
        assert not executable(render(text))
        assert not executable(visible(text))

    check()
