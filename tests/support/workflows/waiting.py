"""Functions that wait for data from other systems, called by messages."""

import json

from sessions_app.workflows import Context
from tests.support.workflows.asking import ask
from tests.support.workflows.registry import Chunks, by_message


@by_message
async def wait_for(context: Context, count: int = 1) -> Chunks:
    """Wait for so many values under the name `n`; output them, joined by "|"."""
    yield "|".join([str(await context.wait_for("n")) for _ in range(count)])


@by_message
async def wait_for_callbacks(context: Context, count: int = 1) -> Chunks:
    """Output so many callback URLs, then the data posted to each, in the order of the URLs."""
    ids = [str(number) for number in range(count)]
    yield " ".join(context.callback_url("n", id) for id in ids)
    for _ in ids:
        yield f" {json.dumps(await context.wait_for('n'))}"


@by_message
async def ask_after_callback(context: Context) -> Chunks:
    """Ask a text prompt once something is posted to the callback URL that the run has output."""
    async for chunk in wait_for_callbacks(context, 1):
        yield chunk
    async for chunk in ask(context):
        yield chunk
