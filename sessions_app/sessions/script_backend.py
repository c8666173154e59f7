"""The backend of a context in a script or test: stores nothing; a callback answers prompts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, cast

from django.utils import timezone

from sessions_app.errors import NoPerson, TooManyRuns, UnknownWorkflow, Unrecorded
from sessions_app.journal.journal import Call, CallResult
from sessions_app.prompts import AnyPrompt, Given, JsonAnswer
from sessions_app.storage.lineage import MAX_DEPTH
from sessions_app.workflows import registry
from sessions_app.workflows.backend import (
    Attempted,
    Backend,
    ChildCall,
    OutgoingPrompt,
    StoredResponse,
    dump_returned,
)
from sessions_app.workflows.concurrency import Slot
from sessions_app.workflows.context import AuthCallback, refuse
from sessions_app.workflows.context_variables import bind
from sessions_app.workflows.steps import execute

# A function that runs a workflow by name for the same user, and returns the result.
RunBeside = Callable[[str, object], Awaitable[object]]
# A function that answers a prompt by a text, an option's value, or a list of values.
UserInputCallback = Callable[[AnyPrompt], Awaitable[Given | list[Given]]]

# The callback that answers the prompts of the open session, inherited by nested sessions.
user_input_callback: ContextVar[UserInputCallback | None] = ContextVar(
    "user_input_callback", default=None
)

# Number of runs above the current run, each of which has run the next one.
_level: ContextVar[int] = ContextVar("_level", default=0)


class ScriptBackend(Backend):
    """The backend of a script's run, which is not stored and ends with its process.

    Without callbacks, prompts and sign-ins raise NoPerson.
    """

    def __init__(
        self,
        ask: UserInputCallback | None,
        authenticate: AuthCallback | None,
        run_beside: RunBeside,
    ) -> None:
        self._callback = ask or refuse
        self._authenticate = authenticate or refuse
        self._run_beside = run_beside
        self._new_texts: list[str] = []

    def attach(self, slot: Slot) -> None:
        """Keep the run's concurrency slot, to release it while a callback asks a person."""
        self._slot = slot

    async def sign_in(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the callback that signs the person in, and release the slot meanwhile."""
        return await self._slot.release_for(self._authenticate(*arguments, **keywords))

    def position_of(self, place: str, after: int) -> int:
        """Return the next position: a script has no journal with recorded positions."""
        return after + 1

    def add_active(self, change: int) -> None:
        """Change the number of active calls in the run's slot."""
        self._slot.add_active(change)

    @asynccontextmanager
    async def working(self, call: Call) -> AsyncIterator[None]:
        """Do nothing: a script's run need not count as busy, as it is never evicted."""
        yield

    async def show_output(self, text: str, *, is_repeat: bool) -> None:
        """Keep a text, which the runner yields before its next chunk."""
        self._new_texts.append(text)

    def take_new_texts(self) -> list[str]:
        """Return and forget the texts shown since the last call of this method."""
        new_texts, self._new_texts = self._new_texts, []
        return new_texts

    async def transact(self, call: Call, work: Callable[[], Attempted]) -> Attempted:
        """Do the work in its own transaction, and record nothing."""
        return cast("Attempted", await execute(work, None))

    async def ask(self, outgoing_prompts: list[OutgoingPrompt]) -> list[StoredResponse]:
        """Call the callback for all prompts concurrently, and return the answers."""
        try:
            return await self._slot.release_for(self._ask_all(outgoing_prompts))
        except BaseExceptionGroup as error_group:  # raise the error that cancelled the others
            raise error_group.exceptions[0] from None

    async def wait_for(self, call: Call, timeout: float | None) -> CallResult:  # noqa: ASYNC109 - as in `Backend`
        """Refuse to wait: nothing is sent to a script.

        Raises:
            NoPerson: always.
        """
        raise NoPerson("Nothing can be sent to a script: wait_for() needs a run that is hosted.")

    async def run(self, call: Call, child: ChildCall, timeout: float | None) -> CallResult:  # noqa: ASYNC109 - as in `Backend`
        """Run a child workflow in this script, with the same callback for prompts."""
        level = _level.get() + 1
        if level > MAX_DEPTH:
            refusal = str(TooManyRuns.in_a_row(MAX_DEPTH))
            return CallResult(error={"type": "refused", "message": refusal})
        with bind({_level: level}):
            return await self._run(child, timeout)

    async def _run(self, child: ChildCall, timeout: float | None) -> CallResult:  # noqa: ASYNC109 - as in `Backend`
        work = self._slot.release_for(self._run_beside(child.workflow, child.message))
        try:
            async with asyncio.timeout(timeout) as limit:
                result = await work
            declaration = registry.declared_workflows()[child.workflow]
            return CallResult(result if declaration.streams else dump_returned(declaration, result))
        except (UnknownWorkflow, Unrecorded):
            raise
        except Exception as error:  # noqa: BLE001 - workflow code may raise anything
            status = "timeout" if limit.expired() else "failed"
            return CallResult(error={"type": status, "message": str(error)})

    async def sleep(self, call: Call, until: datetime) -> None:
        """Sleep until a moment, and release the slot meanwhile."""
        seconds = (until - timezone.now()).total_seconds()
        await self._slot.release_for(asyncio.sleep(max(seconds, 0)))

    async def _ask_all(self, outgoing_prompts: list[OutgoingPrompt]) -> list[StoredResponse]:
        async with asyncio.TaskGroup() as tasks:
            answers = [
                tasks.create_task(self._ask(outgoing_prompt.prompt))
                for outgoing_prompt in outgoing_prompts
            ]
        return [answer.result() for answer in answers]

    async def _ask(self, prompt: AnyPrompt) -> StoredResponse:
        try:
            async with asyncio.timeout(prompt.timeout) as deadline:
                reply = await self._callback(prompt)
        except TimeoutError:
            if not deadline.expired():  # the callback itself raised the TimeoutError
                raise
            return StoredResponse(prompt.default_answer(), None, timezone.now(), is_default=True)
        answer = await asyncio.to_thread(prompt.check, JsonAnswer.of(reply))
        return StoredResponse(answer, "", timezone.now(), is_default=False)
