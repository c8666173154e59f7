"""A count of the calls that a message, a prompt and an answer cause, by function, file and folder.

Run by hand: `python -m pytest -s tests/support/trace_calls.py`. Counted are calls of functions of
the product, in all threads of one process, when each path is taken for the second time.
"""

import sys
import threading
from itertools import pairwise
from pathlib import Path
from types import FrameType

import pytest

from sessions_app.storage import reads
from sessions_app.workflows import Context, TextPrompt, workflow
from tests.support.hosting import make_user
from tests.wire.live_hosting import live_hosting
from tests.wire.local_socket import LocalSocket

ROOT = Path(__file__).parents[2]
PRODUCT = tuple(f"{ROOT / app}/" for app in ("sessions_app", "chat_app"))

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.local_only("it is one process")]


class Trace:
    """The calls of the product's functions on the current path, in order."""

    def __init__(self) -> None:
        self.way = ""
        self.calls: dict[str, list[tuple[str, str]]] = {}

    def note(self, frame: FrameType, event: str, _: object) -> None:
        """Record a call; Python's profiler hook calls this."""
        code = frame.f_code
        # A resumed coroutine is not a new call.
        if (
            event == "call"
            and self.way
            and frame.f_lasti <= 0
            and code.co_filename.startswith(PRODUCT)
        ):
            file = str(Path(code.co_filename).relative_to(ROOT))
            self.calls[self.way].append((file, code.co_qualname))

    def open(self, way: str) -> None:
        """Begin a path, and end the previous one."""
        self.calls[way] = []
        self.way = way

    def report(self) -> str:
        """Return a line of counts for each path."""
        lines = [f"{'way':10}{'calls':>8}{'functions':>12}{'files':>8}{'changes of folder':>20}"]
        for way, calls in self.calls.items():
            files = [file for file, _ in calls]
            folders = [str(Path(file).parent) for file in files]
            changes = sum(one != other for one, other in pairwise(folders))
            counts = f"{len(calls):8}{len(set(calls)):12}{len(set(files)):8}{changes:20}"
            lines.append(f"{way:10}{counts}")
        return "\n".join(lines)


trace = Trace()


@workflow(name="traced", title="Traced")
async def traced(message: str, context: Context) -> str:
    trace.way = ""
    await context.step(int)
    trace.open("prompt")
    answer = await context.ask(TextPrompt(text="Name?"))
    trace.way = ""
    return answer.text


async def test_the_ways_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    threading.setprofile(trace.note)
    sys.setprofile(trace.note)
    try:
        async with live_hosting("traced"):
            ann = await reads.read(make_user, "ann")
            async with LocalSocket(ann, conversation_id="c") as socket:
                await _go(socket)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert set(trace.calls) == {"message", "prompt", "answer"}
    with capsys.disabled():
        print(f"\n{trace.report()}")  # noqa: T201 - the result


async def _go(socket: LocalSocket) -> None:
    for _ in range(2):
        await socket.until_settled()
        trace.open("message")
        await socket.say_until_prompt("hello")
        trace.way = ""
        await socket.until_settled()
        trace.open("answer")
        await socket.answer("Eve")
        await socket.until_ended()
