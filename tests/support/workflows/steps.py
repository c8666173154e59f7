"""Functions whose work is recorded: steps, streamed steps, child runs."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from django.contrib.auth import get_user_model
from django.db.models import Value
from django.db.models.functions import Concat

from sessions_app.workflows import Context, TextPrompt
from tests.support.workflows.effects import count_lines, execute
from tests.support.workflows.registry import Chunks, by_message


@by_message
async def step(context: Context, count: int, seconds: float = 0) -> Chunks:
    """Run so many steps, each of so many seconds; each execution appends a line to PROBE_LOG."""
    for number in range(1, count + 1):
        await context.step(execute, f"{context.run_id} {number}", seconds, title=f"step {number}")
        yield f"s{number} "


@by_message
async def undo(context: Context, count: int, seconds: float = 0) -> Chunks:
    """Ask a text prompt; where the run is stopped meanwhile, run so many steps."""
    try:
        yield (await context.ask(TextPrompt(text="prompt-1"))).text
    except asyncio.CancelledError:
        async for chunk in step(context, count, seconds):
            yield chunk


@by_message
async def stream_model(context: Context, tokens: int, delay: float) -> Chunks:
    """Stream a model's answer, which differs each time it is asked, then ask a text prompt."""
    async for _ in context.stream(_tokens, context.run_id, tokens, delay):
        pass
    yield (await context.ask(TextPrompt(text="prompt-1"))).text


async def _tokens(run: str, count: int, delay: float) -> AsyncIterator[str]:
    """Yield "1:0 ", "1:1 ", … of the first execution, and "2:0 ", … of the second."""
    execute(f"{run} model", 0)
    execution = count_lines(f"{run} model")
    for number in range(count):
        await asyncio.sleep(delay)
        yield f"{execution}:{number} "


@by_message
async def transact(context: Context, count: int, seconds: float = 0) -> Chunks:
    """Run so many transactional steps, each of which makes the user's first name longer by an x."""
    for _ in range(count):
        await context.transactional_step(_lengthen_name, context.user_id, seconds)
    yield "done"


def _lengthen_name(user: str, seconds: float) -> None:
    """Lengthen the name; kill the process where PROBE_LOG has a file with `.kill` beside it."""
    longer = Concat("first_name", Value("x"))
    get_user_model().objects.filter(pk=user).update(first_name=longer)
    time.sleep(seconds)
    with suppress(FileNotFoundError):
        Path(f"{os.environ.get('PROBE_LOG')}.kill").unlink()
        os.kill(os.getpid(), signal.SIGKILL)


@by_message
async def run_child(context: Context, message: str) -> Chunks:
    """Run this workflow within itself with a message of its own, and say what it said."""
    yield await context.run("probe", message)
