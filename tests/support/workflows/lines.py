"""Functions whose runs begin others without end, until a limit refuses one, called by messages."""

from functools import partial
from uuid import uuid4

from sessions_app import runs
from sessions_app.workflows import ChildFailed, Context, TextPrompt
from tests.support.workflows.registry import Chunks, by_message


@by_message
async def begin_children(context: Context, count: int) -> Chunks:
    """Run this function as so many child runs side by side; ask once one of them is refused."""
    children = (context.run("probe", f"begin_children({count})") for _ in range(count))
    try:
        yield "".join(await context.gather(*children))
    except ChildFailed:
        yield (await context.ask(TextPrompt(text="prompt-1"))).text


@by_message
async def send_to_itself(context: Context) -> Chunks:
    """Send data to the own run, and wait for it, without end."""
    while True:
        yield str(await context.step(partial(_send, context.run_id)))
        await context.wait_for("again")


def _send(run: str) -> str:
    return str(runs.send(run, "again", id=uuid4().hex))
