"""A context on the record of a run: what is recorded is given again, and nothing else is done."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from sessions_app.contrib.replay.run_history import RunHistory
from sessions_app.journal.journal import Call, CallResult, Entry
from sessions_app.workflows.backend import (
    OutgoingPrompt,
    RecordedBackend,
    StoredResponse,
    asked_before,
    recorded_response,
)
from sessions_app.workflows.child_calls import ChildCall
from sessions_app.workflows.history import PastMessage
from sessions_app.workflows.transactional_steps import Attempted


class ReplayBackend(RecordedBackend):
    """A backend on a recorded journal: a call whose outcome is not recorded never returns. No step
    is executed, nothing stored.
    """

    def __init__(self, history: RunHistory) -> None:
        stop = history.stop and history.stop.model_copy(deep=True)
        super().__init__(history.to_journal(), stop)
        self._history = history
        # What is not as it is recorded, without harm.
        self.differences: list[str] = []
        # How many calls were made, and whether one of them stands for ever.
        self.calls = 0
        self.stands = False

    def next_call(self, call: Call) -> None:
        """Raise CancelledError where the recorded run was stopped."""
        if self.stop is not None:
            self.stop.has_passed(call)

    def recall(self, call: Call) -> Entry | None:
        """Return the recorded entry of a call, and count the call."""
        self.calls += 1
        return super().recall(call)

    def is_beyond(self, calls: Mapping[str, int]) -> bool:
        """Return whether all that is recorded comes before these calls."""
        return self._journal.first_beyond(calls) is None

    def patched(self, why: str, calls: int) -> bool:
        """Return whether the recorded run has the change."""
        return self._journal.patched(why, calls) is not False

    @asynccontextmanager
    async def working(self, call: Call) -> AsyncIterator[None]:
        """Wait for ever: a replay begins no step."""
        await self._stand()
        yield

    async def transact(self, call: Call, work: Callable[[], Attempted]) -> Attempted:
        """Do no work: `working` never lets a step begin."""
        raise AssertionError("its `working` stands for ever")

    async def ask(self, outgoing_prompts: list[OutgoingPrompt]) -> list[StoredResponse]:
        """Return the recorded responses, if all are there."""
        responses: list[StoredResponse] = []
        for outgoing_prompt in outgoing_prompts:
            entry = self.recall(outgoing_prompt.call)
            if entry is None:
                continue
            prompt, mismatch = asked_before(entry, outgoing_prompt)
            self._note(entry, mismatch)
            if entry.finished:
                responses.append(replace(recorded_response(entry), prompt=prompt))
        if len(responses) < len(outgoing_prompts):
            await self._stand()
        return responses

    async def history(self, call: Call, limit: int) -> list[PastMessage]:
        """Return the messages that the run was given."""
        if self.recall(call) is None:
            await self._stand()
        past = self._history.past[call.position]
        return past[-limit:] if limit else []

    async def wait_for(self, call: Call, timeout: float | None) -> CallResult:  # noqa: ASYNC109 - as in `Backend`
        """Wait for ever: an arrival that is not recorded never comes."""
        await self._stand()
        raise AssertionError("it stands for ever")

    async def run(self, call: Call, child: ChildCall, timeout: float | None) -> CallResult:  # noqa: ASYNC109 - as in `Backend`
        """Wait for ever: a child whose end is not recorded never ends."""
        await self._stand()
        raise AssertionError("it stands for ever")

    async def sleep(self, call: Call, until: datetime) -> None:
        """Return if the sleep was over when the history was recorded; else wait for ever."""
        if self._journal.recall(call) is None or until > self._history.recorded_at:
            await self._stand()

    async def _stand(self) -> None:
        """Wait for ever: nothing sets this future."""
        self.stands = True
        await asyncio.get_running_loop().create_future()

    def _note(self, entry: Entry, mismatch: str) -> None:
        if mismatch:
            self.differences.append(f"position {entry.call.position}, {entry.call}: {mismatch}")
