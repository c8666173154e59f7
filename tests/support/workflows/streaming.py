"""Functions that output text, called by messages."""

import asyncio

from sessions_app.workflows import Context
from tests.support import long_answer
from tests.support.workflows.asking import ask
from tests.support.workflows.registry import Chunks, by_message


@by_message
async def echo(context: Context, text: str) -> Chunks:
    """Output the text in one chunk."""
    yield text


@by_message
async def stream(context: Context, tokens: int, delay: float | None = None) -> Chunks:
    """Output "t0 ", "t1 ", … in so many chunks, each after so many seconds."""
    for number in range(tokens):
        if delay is not None:
            await asyncio.sleep(delay)
        yield f"t{number} "


@by_message
async def stream_and_ask(context: Context, tokens: int) -> Chunks:
    """Stream, then ask a prompt, which must not overtake the text before the prompt."""
    async for chunk in stream(context, tokens):
        yield chunk
    async for chunk in ask(context):
        yield chunk


@by_message
async def say_at_once(context: Context, characters: int) -> Chunks:
    """Output so many characters in one chunk, numbered in thousands."""
    yield "".join(f"{number:<1000}" for number in range(characters // 1000))


@by_message
async def report(context: Context, characters: int, tokens: int, delay: float) -> Chunks:
    """Output a long answer: so many characters at once, then tokens with pauses."""
    text = long_answer.report(characters + tokens * 4)
    yield text[:characters]
    for token in long_answer.tokens(text[characters:]):
        await asyncio.sleep(delay)
        yield token
