"""The recording of nested calls, for frameworks whose functions call each other.

A step cannot make calls, and a gather must know its coroutines beforehand. Here a call is recorded
when it ends. A call that a crash cuts off is executed again, and finds its recorded inner calls in
the journal. So each call has its own track, identified by a path: the names of the outer calls,
each with its number among the caller's calls of that name.
"""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from typing import Any

from sessions_app.errors import NotJson, ResultRefused, StepFailed, Unrecorded
from sessions_app.journal.journal import REFUSED, Call, CallResult, read_recorded
from sessions_app.journal.tracks import NESTED_CALLS, current_track
from sessions_app.models import JournalEntry
from sessions_app.storage.faults import is_fault
from sessions_app.workflows.context_variables import bind
from sessions_app.workflows.execution import Execution
from sessions_app.workflows.gathering import FATAL
from sessions_app.workflows.steps import ResultType, off_loop, outcome

Kind = JournalEntry.Kind
Pieces = Callable[[], AsyncGenerator[Any, None]]
# JSON key in a recorded error: inner calls preceded the error. So replay executes the call again,
# and the caller gets the original error.
FOLLOWS = "follows"
_END = object()


@dataclass(frozen=True, slots=True)
class NamedCall:
    """The description of a call for the journal; `text` turns each piece into a text for people.

    A call without a title is not shown. `load` converts a recorded piece for the caller.
    """

    name: str
    arguments: tuple[object, ...] = ()
    title: str = ""
    text: Callable[[object], str] = str
    load: Callable[[Any], Any] = lambda piece: piece


@dataclass(slots=True, eq=False)
class _Frame:
    """A call being executed, which counts as a step until it makes an inner call."""

    path: str
    track: str
    working: AsyncExitStack = field(default_factory=AsyncExitStack)
    counts: Counter[str] = field(default_factory=Counter)

    async def next_path(self, name: str) -> str:
        """Return the path of the next inner call."""
        self.counts[name] += 1
        path = f"{self.path}/{name} {self.counts[name]}"
        await self.working.aclose()
        return path

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Mark the code in the block, and its tasks, as part of the call."""
        with bind({_frame: self, current_track: self.track}):
            yield


_frame: ContextVar[_Frame | None] = ContextVar("_frame", default=None)


class NestedCalls:
    """The nested calls of one execution of a workflow."""

    def __init__(self, execution: Execution) -> None:
        """Record a gather as the workflow's next call, so that nested calls get tracks under it."""
        self._execution = execution
        execution.has_tracks = True
        self._call = execution.call(Kind.GATHER, NESTED_CALLS)
        [track] = execution.begin_tracks(self._call, 1)
        self._root = _Frame("", track)

    def outermost(self) -> AbstractContextManager[None]:
        """Return a context manager: calls made in its block are outermost calls."""
        return self._root.inside()

    @asynccontextmanager
    async def on_separate_track(self, name: str) -> AsyncIterator[None]:
        """Give the context's calls in the block a separate track.

        A replay that does not make these calls still matches the journal.
        """
        frame = await self._new_frame(name)
        with frame.inside():
            yield

    async def note_nested_call(self) -> None:
        """Note that the current call uses the context, and so no longer counts as a step."""
        await (_frame.get() or self._root).next_path("")

    async def pieces(self, named_call: NamedCall, source: Pieces) -> AsyncGenerator[Any, None]:
        """Yield the pieces of a call, from the journal or by executing it.

        The call is recorded at its end. Pieces are JSON, and converted by `load`.

        Raises:
            StepFailed: the call raised without inner calls; the error is recorded. An error after
                inner calls is raised unchanged, and again by a replay.
            NotJson: a piece cannot be stored.
        """
        frame = await self._new_frame(named_call.name)
        with frame.inside():
            call = self._execution.call(Kind.STEP, named_call.name, *named_call.arguments)
        entry = self._execution.backend.recall(call)
        if entry is not None and entry.finished and FOLLOWS not in (entry.error or {}):
            del self._execution.calls[call.track]  # forget the track: a replay makes no inner calls
            if entry.error is not None and REFUSED in entry.error:
                self._execution.mistake = ResultRefused(entry.error["message"])
                raise self._execution.mistake
            if entry.error is not None:
                raise StepFailed.of(call.name, entry.error)
            for piece in entry.result:
                read = partial(read_recorded, named_call.load, piece, call)
                yield await off_loop(read, piece)
            return
        if named_call.title and entry is None:
            self._execution.backend.begin(call, named_call.title)
        is_recorded = entry is not None and entry.finished
        async for piece in self._execute(frame, call, named_call, source, is_recorded):
            yield piece

    async def _execute(
        self, frame: _Frame, call: Call, named_call: NamedCall, source: Pieces, is_recorded: bool
    ) -> AsyncGenerator[Any, None]:
        backend, pieces = self._execution.backend, ResultType(Any, call.name)
        stored: list[object] = []
        async with frame.working:
            await frame.working.enter_async_context(backend.working(call))
            try:
                async for piece in _inside(frame, source):
                    stored.append(await off_loop(partial(pieces.dump, piece), piece))
                    yield await off_loop(partial(named_call.load, piece), piece)
            except Unrecorded as error:
                has_run = isinstance(error, NotJson) and not (frame.counts or is_recorded)
                mistake = ResultRefused.at(call.position, error) if has_run else error
                self._execution.mistake = mistake  # raised again later if the caller catches it now
                if isinstance(mistake, ResultRefused):
                    await backend.finish(call, CallResult.refused(mistake, named_call.title))
                raise mistake from None
            except Exception as error:
                if isinstance(error, FATAL) or is_fault(error):
                    raise
                failure = CallResult.of_error(error, named_call.title)
                if frame.counts:
                    failure = replace(failure, error={**(failure.error or {}), FOLLOWS: True})
                if not is_recorded:
                    await backend.finish(call, failure)
                if frame.counts:
                    raise
                raise StepFailed.of(call.name, failure.error or {}) from error
            shown = outcome("".join(map(named_call.text, stored)), named_call.title)
            await backend.finish(call, replace(shown, result=stored))

    async def _new_frame(self, name: str) -> _Frame:
        path = await (_frame.get() or self._root).next_path(name)
        digest = blake2b(path.encode(), digest_size=8).hexdigest()
        return _Frame(path, f"{self._call.position}.{digest}")


async def _inside(frame: _Frame, source: Pieces) -> AsyncGenerator[Any, None]:
    """Yield the pieces of a source; only code of the source counts as part of the call."""
    pieces = source()
    try:
        while True:
            with frame.inside():
                piece = await anext(pieces, _END)
            if piece is _END:
                return
            yield piece
    finally:
        with frame.inside():
            await pieces.aclose()
