"""Functions with recorded work (steps, streamed steps, child runs), called by messages."""

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
    """Run so many steps of so many seconds; each execution appends a line to PROBE_LOG."""
    for number in range(1, count + 1):
        await context.step(execute, f"{context.run_id} {number}", seconds, title=f"step {number}")
        yield f"s{number} "


@by_message
async def undo(context: Context, count: int, seconds: float = 0) -> Chunks:
    """Ask a text prompt; if the run is stopped meanwhile, run so many steps as clean-up."""
    try:
        yield (await context.ask(TextPrompt(text="prompt-1"))).text
    except asyncio.CancelledError:
        async for chunk in step(context, count, seconds):
            yield chunk


@by_message
async def stream_model(context: Context, tokens: int, delay: float) -> Chunks:
    """Stream a model's answer, which differs at each call, then ask a text prompt."""
    async for _ in context.stream(_tokens, context.run_id, tokens, delay):
        pass
    yield (await context.ask(TextPrompt(text="prompt-1"))).text


async def _tokens(run: str, count: int, delay: float) -> AsyncIterator[str]:
    """Yield "1:0 ", "1:1 ", … in the first execution, "2:0 ", … in the second."""
    execute(f"{run} model", 0)
    execution = count_lines(f"{run} model")
    for number in range(count):
        await asyncio.sleep(delay)
        yield f"{execution}:{number} "


@by_message
async def transact(context: Context, count: int, seconds: float = 0) -> Chunks:
    """Run so many transactional steps, each of which appends an x to the user's first name."""
    for _ in range(count):
        await context.transactional_step(_lengthen_name, context.user_id, seconds)
    yield "done"


def _lengthen_name(user: str, seconds: float) -> None:
    """Append to the name; kill the process if the file PROBE_LOG with the suffix `.kill` exists."""
    longer = Concat("first_name", Value("x"))
    get_user_model().objects.filter(pk=user).update(first_name=longer)
    time.sleep(seconds)
    with suppress(FileNotFoundError):
        Path(f"{os.environ.get('PROBE_LOG')}.kill").unlink()
        os.kill(os.getpid(), signal.SIGKILL)


@by_message
async def run_child(context: Context, message: str) -> Chunks:
    """Run this workflow as a child run with its own message, and output its result."""
    yield await context.run("probe", message)
