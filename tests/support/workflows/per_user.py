"""The probe with a builder for each user, which takes some time and writes to the diary."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import BaseModel

from sessions_app.workflows import Context, Message, Person, workflow
from tests.support.workflows.diary import note
from tests.support.workflows.probe import probe


class Options(BaseModel, extra="forbid"):
    """The seconds that building and closing take."""

    build_seconds: float = 0
    close_seconds: float = 0


@dataclass
class Belongings:
    """The objects that are built for a user."""

    open: bool = True


@asynccontextmanager
async def belongings(user: Person, options: Options) -> AsyncIterator[Belongings]:
    """Build the objects, and close them; note begin and end of both in the diary."""
    note("builder.begin", user.username)
    user_belongings = Belongings()
    try:
        await asyncio.sleep(options.build_seconds)
        note("builder.built", user.username)
        yield user_belongings
    finally:
        user_belongings.open = False
        note("builder.closing", user.username)
        await asyncio.sleep(options.close_seconds)
        note("builder.closed", user.username)


@workflow(
    name="probe_per_user",
    title="Probe per user",
    description="As the probe, with a builder for each user.",
    options=Options,
    per_user_builder=belongings,
)
async def probe_per_user(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """Do the same as `probe`, with the objects that were built for the user."""
    async for chunk in probe(message, context):
        if not context.builder.open:
            raise RuntimeError("The builder was closed while it was in use.")
        yield chunk
