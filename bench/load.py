"""Simulated people who use a server over the wire protocol, each in a separate conversation.

They answer and send the next message at once, so the figures show the server's capacity. The client
is a plain one, for our server and the peer's alike.
"""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect

Frame = dict[str, Any]
# Number of prompts in a run of `prompts`, and of tokens in a run of `stream`.
PROMPTS = 10
TOKENS = 2000
PATIENCE = 60


@dataclass(frozen=True)
class Target:
    """The servers, assigned to people in turn, with a cookie for each person."""

    urls: list[str]
    cookies: list[str]
    query: str = ""


@dataclass
class Tally:
    """The completed units of work, and the milliseconds of each."""

    units: int = 0
    durations: list[float] = field(default_factory=list)

    def add(self, units: int, began: float) -> float:
        """Count units of work that end now; return the present time."""
        now = time.perf_counter()
        self.units += units
        self.durations.append(1000 * (now - began))
        return now

    def figures(self, seconds: float) -> dict[str, float]:
        """Return the rate and the times."""
        self.durations.sort()
        return {
            "units": self.units,
            "seconds": seconds,
            "per_s": self.units / seconds,
            "p50_ms": statistics.median(self.durations),
            "p99_ms": self.durations[len(self.durations) * 99 // 100],
        }


class Person:
    """A person who talks to a server: `async with Person(target, 0) as person:`."""

    def __init__(self, target: Target, number: int) -> None:
        self.conversation_id = uuid4().hex
        url = target.urls[number % len(target.urls)]
        self._url = f"{url}/websocket?conversation_id={self.conversation_id}{target.query}"
        self._headers = {"Cookie": target.cookies[number % len(target.cookies)]}

    async def __aenter__(self) -> "Person":
        """Connect, and offer compression, as browsers do."""
        self._socket: ClientConnection = await connect(
            self._url, additional_headers=self._headers, max_size=None, proxy=None
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the socket."""
        await self._socket.close()

    async def say(self, text: str) -> AsyncIterator[Frame]:
        """Send a message, and yield the frames up to the end of its run."""
        await self._send("user_message", text, id=uuid4().hex, schema_type="chat_stream")
        async with asyncio.timeout(PATIENCE):
            async for frame_text in self._socket:
                frame = json.loads(frame_text)
                if frame["type"] == "error_message":
                    raise RuntimeError(f"{text!r} was answered by {frame}")
                if frame["type"] == "system_response_message" and frame["status"] == "complete":
                    return
                yield frame
        raise RuntimeError(f"{text!r}: the server closed the socket")

    async def answer(self, prompt: Frame, text: str) -> None:
        """Answer a prompt."""
        names = {name: prompt.get(name) for name in ("id", "thread_id", "parent_id")}
        await self._send("user_interaction_message", text, **names)

    async def _send(self, kind: str, text: str, **fields: Any) -> None:
        content = {"messages": [{"role": "user", "content": [{"type": "text", "text": text}]}]}
        frame = {"type": kind, "conversation_id": self.conversation_id, "content": content}
        await self._socket.send(json.dumps(frame | fields))


Work = Callable[[Person, Tally], Awaitable[None]]


async def prompts(person: Person, tally: Tally) -> None:
    """Time a run with ten prompts: from message or answer to the next prompt, and to the end."""
    prompt_count = 0
    began = time.perf_counter()
    async for frame in person.say(f"approve(count={PROMPTS})"):
        if frame["type"] == "system_interaction_message":
            prompt_count += 1
            if prompt_count > 1:
                began = tally.add(1, began)
            await person.answer(frame, "continue")
    tally.add(1, began)
    if prompt_count != PROMPTS:
        raise RuntimeError(f"{prompt_count} prompts of {PROMPTS} came")


async def echo(person: Person, tally: Tally) -> None:
    """Time a message and its echo, to the run's end."""
    word, began = uuid4().hex, time.perf_counter()
    text = await _text(person, f'echo("{word}")', lambda text: None)
    tally.add(1, began)
    if text != word:
        raise RuntimeError(f"the echo of {word} is {text!r}")


async def stream(person: Person, tally: Tally) -> None:
    """Time a stream of tokens, to the run's end."""
    began = time.perf_counter()
    text = await _text(
        person, f"stream(tokens={TOKENS})", lambda text: tally.add(text.count(" "), began)
    )
    if text != "".join(f"t{number} " for number in range(TOKENS)):
        raise RuntimeError(f"of a stream came {text[:100]!r} …")


async def _text(person: Person, message: str, came: Callable[[str], object]) -> str:
    parts = []
    async for frame in person.say(message):
        if frame["type"] == "system_response_message":
            parts.append(frame["content"]["text"] or "")
            came(parts[-1])
    return "".join(parts)


WORK: dict[str, Work] = {"prompts": prompts, "echo": echo, "stream": stream}


async def load(
    target: Target, work: str, people: int, *, seconds: float, busy: Callable[[], float]
) -> dict[str, float]:
    """Run people's work for so many seconds, and wait for the work in progress.

    `busy` returns the server's processor time.
    """
    tally, clock = Tally(), time.perf_counter
    warm = asyncio.Barrier(people + 1)
    enough = asyncio.Event()

    async def person(number: int) -> None:
        async with Person(target, number) as client:
            await echo(client, Tally())
            await warm.wait()
            await WORK[work](client, tally)
            while not enough.is_set():
                await WORK[work](client, tally)

    async with asyncio.TaskGroup() as group:
        for number in range(people):
            group.create_task(person(number))
        await warm.wait()
        begin, before, own = clock(), busy(), time.process_time()
        await asyncio.sleep(seconds)
        enough.set()
    took, cpu_seconds, client = clock() - begin, busy() - before, time.process_time() - own
    return tally.figures(took) | {
        "cpu_ms": 1000 * cpu_seconds / tally.units,
        "server_cores": cpu_seconds / took,
        "client_cores": client / took,
    }
