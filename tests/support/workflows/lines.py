"""Functions whose runs begin others without end, until a limit refuses one, called by messages."""

from functools import partial

from django.contrib.auth import get_user_model

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
async def start_again(context: Context) -> Chunks:
    """Start a run of this function in a step, in a new conversation."""
    yield str(await context.step(partial(_start, context.user_id)))


def _start(user: str) -> str:
    return str(runs.start("probe", "start_again()", user=get_user_model().objects.get(pk=user)))
