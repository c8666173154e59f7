"""Streamed steps: what they give is passed on as it comes, and recorded when they end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from sessions_app.errors import StepFailed, StreamUnread, TooLarge, Unrecorded
from sessions_app.journal.journal import Call, CallResult, read_recorded
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.faults import is_fault
from sessions_app.storage.storable import measure, storable
from sessions_app.workflows.backend import Backend
from sessions_app.workflows.options import BoundFunction
from sessions_app.workflows.steps import EACH_VALUE, ResultType, Retry, RunningStep, aside, iterate

T = TypeVar("T")


class StreamedText(str):
    """A text that people have seen already: a workflow that yields it shows it no second time."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of a stream that people see in a step of its own, not in the text."""

    reasoning: str


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """The options of `Context.stream`."""

    title: str | None = ""
    show: bool = True
    reasoning: str = "Reasoning"
    retry: Retry | None = None
    timeout: float | None = None


class PutOut(Protocol):
    """A callable that takes a piece of text for people.

    `is_repeat`: an earlier execution has put it out.
    """

    def __call__(self, text: str, *, is_repeat: bool) -> Awaitable[None]:
        """Put out the text."""


class StreamedStep:
    """A call of `Context.stream`. It knows nothing of the `Stream` that reads it."""

    def __init__(
        self,
        backend: Backend,
        call: Call,
        function: BoundFunction,
        options: StreamOptions,
        put_out: PutOut,
        step: RunningStep,
    ) -> None:
        # The task that reads it, while it is read; and whether it is read from the journal.
        self.reader: asyncio.Task[object] | None = None
        self.is_repeat = False
        self._backend = backend
        self._call = call
        self._source = partial(iterate, function, options.retry, options.timeout, step)
        self._options = options
        self._put_out = put_out
        self._step = step
        self._stored: list[object] = []
        self._size, self._limit = 0, RuntimeSettings.load().MAX_STEP_RESULT
        self._thoughts: list[str] = []
        self._thought = 0

    def check_reader(self) -> None:
        """Raise StreamUnread if the current task is reading it: what it calls now depends on pieces
        that are not recorded.
        """
        if self.reader is not None and self.reader is asyncio.current_task():
            raise StreamUnread(self._call.name)

    async def read(self, pieces: ResultType) -> AsyncGenerator[Any, None]:
        """Yield the pieces of the journal, else of the function."""
        self._step.caller.check_may_call()  # it may be read elsewhere than it was called
        entry = self._backend.recall(self._call)
        if entry is not None and entry.finished:
            self.is_repeat = True
            for stored in entry.result:
                yield await self._given_again(stored, pieces)
            self.is_repeat = False
            if entry.error is not None:
                raise StepFailed.of(self._call.name, entry.error)
            return
        if entry is None:
            self._backend.begin(self._call, self._options.title or "")
        self.reader = asyncio.current_task()
        failure: BaseException | None = None
        try:
            async with self._backend.working(self._call):
                try:
                    source = self._source()
                    async with aclosing(source):
                        async for piece in source:
                            yield await self._give(piece, pieces)
                except (Exception, SystemExit) as error:
                    if isinstance(error, Unrecorded) or is_fault(error):
                        raise  # it is not the stream's; nothing is recorded
                    failure = error
                record = replace(self._record(failure), attempts=self._step.attempts)
                await self._backend.finish(self._call, record)
        finally:
            self.reader = None
        if record.error is not None:
            raise StepFailed.of(self._call.name, record.error) from failure

    def leave(self) -> None:
        """Record the pieces so far as all that there are: nobody reads the stream to its end."""
        self.is_repeat = False
        if self.reader is not None:
            self.reader = None
            self._backend.note(self._call, self._record(None))

    def abandon(self) -> None:
        """Forget the reader: the run is over, or leaves the memory, so that leaving it says
        nothing.
        """
        self.reader = None

    async def _give(self, piece: object, pieces: ResultType) -> object:
        """Show a piece, record it, and return it as replay will."""
        if isinstance(piece, str):
            self._end_reasoning()
            text = storable(piece)
            self._keep(text, len(text))
            if not self._options.show:
                return text
            await self._put_out(text, is_repeat=False)
            return StreamedText(text)
        if isinstance(piece, Reasoning):
            piece = Reasoning(storable(piece.reasoning))
            self._think(piece.reasoning)
        else:
            self._end_reasoning()
        with self._step.inside():
            stored = await aside(partial(pieces.dump, piece), piece)
        self._keep(stored, measure(stored, self._limit, each=EACH_VALUE))
        return await aside(partial(pieces.load, stored), stored)

    async def _given_again(self, stored: object, pieces: ResultType) -> object:
        if not isinstance(stored, str):
            return read_recorded(pieces.load, stored, self._call)
        if not self._options.show:
            return stored
        await self._put_out(stored, is_repeat=True)
        return StreamedText(stored)

    def _keep(self, stored: object, size: int) -> None:
        self._size += size
        if self._size > self._limit:
            raise TooLarge("The stream", f"{self._limit:,} characters", "MAX_STEP_RESULT")
        self._stored.append(stored)

    def _think(self, text: str) -> None:
        if self._options.reasoning and not self._thoughts:
            self._thought += 1
            self._backend.show_part(self._call, self._thought, self._options.reasoning, None)
        self._thoughts.append(text)

    def _end_reasoning(self) -> None:
        if self._options.reasoning and self._thoughts:
            text = storable("".join(self._thoughts))
            self._backend.show_part(self._call, self._thought, self._options.reasoning, text)
        self._thoughts.clear()

    def _record(self, failure: BaseException | None) -> CallResult:
        self._end_reasoning()
        title = self._options.title or ""
        if failure is not None:
            return replace(CallResult.of_error(failure, title), result=self._stored)
        texts = (
            []
            if self._options.show
            else [piece for piece in self._stored if isinstance(piece, str)]
        )
        return CallResult(self._stored, title=title, payload="".join(texts))


class Stream(Generic[T], AsyncIterator[T]):
    """The pieces of a streamed step, to be read once. Leaving the loop ends the step."""

    def __init__(self, step: StreamedStep, pieces: ResultType) -> None:
        self._step = step
        self._values = step.read(pieces)

    def __anext__(self) -> Awaitable[T]:
        """Return the next piece."""
        return self._values.__anext__()

    async def aclose(self) -> None:
        """Leave it: what it gave so far is all that it ever gives."""
        self._step.leave()
        await self._values.aclose()

    def __del__(self) -> None:
        """Record that the loop was left. Python says so here, before the workflow's next call."""
        self._step.leave()
